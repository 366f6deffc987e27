//! Every decoder on a million seeded inputs; `FUZZ_INPUTS` says how many, `FUZZ_FIRST` which is the first.

use pygase_fuzz::{body, campaign, decoders};

macro_rules! seeded {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let (first, count) = (campaign::setting("FUZZ_FIRST", 0), campaign::setting("FUZZ_INPUTS", 1_000_000));
                campaign::seeded(body(stringify!($name)), first, count);
            }
        )*

        #[test]
        fn every_decoder_is_here() {
            let here: Vec<_> = vec![$(stringify!($name)),*];
            assert_eq!(here, decoders::ALL.iter().map(|body| body.name).collect::<Vec<_>>());
        }
    };
}

seeded! { header plain_package client_package server_package value key event update }
