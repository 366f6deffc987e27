//! Runs one body on the input of a seed: `seed BODY SEED [FILE]`; keeps the input in FILE, as the corpus has it.

use pygase_fuzz::{body, campaign};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, seed, file @ ..] = &arguments[..] else {
        eprintln!("usage: seed BODY SEED [FILE]");
        std::process::exit(2);
    };
    let body = body(name);
    let bytes = (body.sample)(&mut fastrand::Rng::with_seed(seed.parse().expect("a number")));
    if let [file, ..] = file {
        let position = |all: &[pygase_fuzz::Body]| all.iter().position(|body| body.name == name);
        let choice = campaign::CORPORA.iter().find_map(|(_, all)| position(all)).expect("a body of a corpus");
        std::fs::write(file, [&[choice as u8], &bytes[..]].concat()).expect("a file");
    }
    (body.run)(&bytes);
    println!("{name} holds for seed {seed}, {} bytes", bytes.len());
}
