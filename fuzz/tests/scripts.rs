//! Every machine on 20,000 seeded scripts; `FUZZ_SCRIPTS` says how many, `FUZZ_FIRST` which is the first.

use pygase_fuzz::{body, campaign, scripts};

macro_rules! seeded {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let (first, count) = (campaign::setting("FUZZ_FIRST", 0), campaign::setting("FUZZ_SCRIPTS", 20_000));
                campaign::seeded(body(stringify!($name)), first, count);
            }
        )*

        #[test]
        fn every_machine_is_here() {
            let here: Vec<_> = vec![$(stringify!($name)),*];
            assert_eq!(here, scripts::ALL.iter().map(|body| body.name).collect::<Vec<_>>());
        }
    };
}

seeded! { connection session server client }
