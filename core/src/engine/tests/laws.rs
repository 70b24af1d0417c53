//! The seven laws of machines.

use super::*;
use crate::engine::outbox::MAX_WAITING;
use crate::engine::work::MAX_TICKETS;
use crate::machine::laws;

/// What passes through the machine has no equality of its own; its debug form shows all of it.
impl PartialEq for EngineMachine {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl PartialEq for Effect {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// Inputs that name the calls a young machine makes, so that many of them fit.
fn inputs() -> impl Strategy<Value = Input> + Clone {
    let op = || (1_u64..14).prop_map(OpId);
    let error = prop::sample::select(vec![
        Failure::Connect,
        Failure::Timeout,
        Failure::Status(500),
        Failure::Garbage,
    ])
    .prop_map(|kind| CallError {
        kind,
        reason: format!("{kind:?}"),
    });
    let call = prop::sample::select(vec![
        Call::Ping,
        Call::Specs,
        Call::Containers,
        Call::Container {
            id: "c1".into(),
            entry: None,
        },
        Call::Images,
    ]);
    let reply = call.prop_map(|call| {
        let mut model = World::new().engine;
        model.add("c1");
        model.answer(&call).unwrap()
    });
    let event = prop::sample::select(vec!["create", "destroy", "exec_start"])
        .prop_map(|action| World::new().engine.happen("container", action, "c1"));
    prop_oneof![
        6 => (op(), reply).prop_map(|(op, reply)| Input::Answered { op, result: Ok(reply) }),
        1 => (op(), error.clone()).prop_map(|(op, error)| Input::Answered { op, result: Err(error) }),
        3 => op().prop_map(|op| Input::Admitted { op, result: Ok(Admission::New) }),
        3 => op().prop_map(|op| Input::StreamOpened { op }),
        2 => (op(), event).prop_map(|(op, event)| Input::StreamEvent { op, event: Box::new(event) }),
        1 => (op(), error.clone()).prop_map(|(op, error)| Input::StreamEnded { op, error }),
        1 => error.prop_map(|error| Input::Proxied(Err(error))),
        1 => Just(Input::Proxied(Ok(()))),
        1 => Just(Input::RefreshAll),
        1 => Just(Input::Refresh { part: Part::Container("c1".into()), ticket: 5 }),
        1 => Just(Input::Join { container: "c1".into(), ticket: 6 }),
    ]
}

proptest! {
    #[test]
    fn the_laws_of_machines_hold(steps in laws::steps(inputs())) {
        laws::hold(World::new().machine, &steps, MAX_WAITING + MAX_TICKETS + 32)?;
    }
}
