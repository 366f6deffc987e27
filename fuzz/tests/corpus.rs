//! Everything that was found worth keeping, again.

use pygase_fuzz::{Body, campaign, decoders};

#[test]
fn what_was_found_stays_mended() {
    for (folder, all) in campaign::CORPORA {
        assert!(campaign::replay(folder, all) > 0, "no corpus of {folder}");
    }
}

#[test]
fn samples_are_worth_trying() {
    // Of packages, some are good and some are not: bytes that are always refused, or never, would try nothing.
    for Body { name, sample, .. } in decoders::ALL.iter().filter(|body| body.name.ends_with("package")) {
        let kind = match *name {
            "plain_package" => pygase::wire::Kind::Plain,
            "client_package" => pygase::wire::Kind::Client,
            _ => pygase::wire::Kind::Server,
        };
        let is_good =
            |seed| pygase::wire::Package::decode(kind, &sample(&mut fastrand::Rng::with_seed(seed))).is_ok();
        let good = (0..10_000).filter(|seed| is_good(*seed)).count();
        assert!((1_000..9_000).contains(&good), "{good} of 10,000 for {name}");
    }
}
