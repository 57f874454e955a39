//! A native account and a guest are told the same, and crash together: their streams and their states stay the same.

use crate::kit::Bank;
use std::sync::Arc;
use swarm_actors::journal::MemoryJournal;

fn random_order(random: &mut fastrand::Rng) -> String {
    match random.u8(0..8) {
        0..=2 => format!(r#"{{"deposit":{}}}"#, random.u32(..)),
        3 => format!(r#"{{"withdraw":{}}}"#, random.u32(..)),
        4 => format!(r#"{{"pay":{{"to":"/sink","amount":{}}}}}"#, random.u16(..)),
        5 => format!(r#"{{"credit":{}}}"#, random.u8(..)),
        6 => "\"balance\"".to_owned(),
        _ => "\"trap\"".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_orders_and_crashes_lead_to_the_same_streams_and_states() {
    for seed in 0..8 {
        let journal = Arc::new(MemoryJournal::new());
        let mut bank = Bank::open(&journal).await;
        let mut random = fastrand::Rng::with_seed(seed);
        for step in 0..40 {
            let order = random_order(&mut random);
            // A guest does not answer a credit, so that is told and not asked.
            if order.contains("credit") {
                for path in ["/native", "/a"] {
                    let mut message =
                        swarm_protocols::AclMessage::new(swarm_protocols::Performative::Request);
                    message.content = Some(order.clone().into_bytes());
                    bank.agent(path).send_acl(message).await.unwrap();
                }
            } else {
                let native = bank.ask("/native", &order).await;
                let guest = bank.ask("/a", &order).await;
                match (native, guest) {
                    (Ok(native), Ok(guest)) => {
                        assert_eq!(native.performative, guest.performative, "{seed} {step}");
                        assert_eq!(native.text(), guest.text(), "{seed} {step}: {order}");
                    }
                    (Err(_), Err(_)) => assert_eq!(order, "\"trap\"", "{seed} {step}"),
                    (native, guest) => panic!("{seed} {step} {order}: {native:?} {guest:?}"),
                }
            }
            match random.u8(0..12) {
                0 => {
                    bank.agent("/native").kill();
                    bank.agent("/a").kill();
                }
                1 => {
                    bank.close().await;
                    bank = Bank::open(&journal).await;
                }
                _ => {}
            }
            // Both are back before the next order: what is asked of a dead one is another matter.
            assert_eq!(
                bank.balance("/native").await,
                bank.balance("/a").await,
                "{seed} {step}: {order}"
            );
        }
        assert_eq!(bank.stream("/native"), bank.stream("/a"), "{seed}");
        bank.close().await;
    }
}
