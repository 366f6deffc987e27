"""The lint that keeps the layers of the core apart, and sockets, threads and clocks out of most of them."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_layers.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_core_is_clean():
    done = run()
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("wire/sqn.rs", "use crate::state::Tree;", "wire knows state, which is not below it"),
        ("state/view.rs", "use crate::{connection, wire};", "state knows connection, which is not below it"),
        (
            "state/view.rs",
            "use crate::{wire::{a, b}, netsim::Line};",
            "state knows netsim, which is not below it",
        ),
        ("endpoint/server.rs", "let s = crate::net::Udp;", "endpoint knows net, which is not below it"),
        ("netsim.rs", "use crate::wire::Sqn;", "netsim knows wire, which is not below it"),
        ("connection/mod.rs", "let now = std::time::Instant::now();", "connection uses Instant"),
        ("endpoint/mod.rs", "std::thread::sleep(pause);", "endpoint uses std::thread"),
        ("endpoint/mod.rs", "use std::net::{SocketAddr, UdpSocket};", "endpoint uses UdpSocket"),
        ("state/mod.rs", "use tokio::time;", "state uses tokio::"),
        ("net/server.rs", "use pyo3::prelude::*;", "net uses pyo3::"),
    ],
)
def test_findings_name_file_and_line(tmp_path, file, line, message):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"//! May speak of std::thread.\n\n#[cfg(test)]\nmod tests {{\n    use std::fs;\n}}\n\n{line}\n"
    )
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout == f"{file}:8: {message}\n"


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("wire/sqn.rs", "use std::net::SocketAddr;"),
        ("net/clock.rs", "use std::time::Instant;"),
        ("net/server.rs", "use crate::{endpoint, state, wire};"),
        ("endpoint/tests/limits.rs", "use crate::netsim::Line;"),
        ("python/mod.rs", "use crate::net; use pyo3::prelude::*;"),
    ],
)
def test_what_is_allowed(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
