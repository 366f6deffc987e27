//! What sanitizers have to find, so that their silence means something: `faulty race` or `faulty overrun`.

use std::hint::black_box;
use std::thread;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("race") => race(),
        Some("overrun") => overrun(),
        _ => {
            eprintln!("usage: faulty race|overrun");
            std::process::exit(2);
        }
    }
    println!("nobody has noticed");
}

/// Two threads write the same number without a lock, and are only waited for.
fn race() {
    struct Shared(*mut u64);
    // SAFETY: none; this is the mistake.
    unsafe impl Send for Shared {}
    impl Shared {
        fn count(self) {
            for _ in 0..1000 {
                // SAFETY: none; this is the mistake.
                unsafe { *black_box(self.0) += 1 };
            }
        }
    }
    let number = Box::into_raw(Box::new(0));
    let threads = [Shared(number), Shared(number)].map(|shared| thread::spawn(move || shared.count()));
    for thread in threads {
        thread.join().expect("a thread that counts");
    }
}

/// Reads the byte after an allocation.
fn overrun() {
    let bytes = black_box(vec![0_u8; 16]);
    // SAFETY: none; this is the mistake.
    println!("{}", unsafe { *black_box(bytes.as_ptr().add(16)) });
}
