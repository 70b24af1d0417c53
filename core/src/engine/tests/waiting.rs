//! Whoever waits for a part of the view to be read.

use super::super::machine::EVENT_PATIENCE;
use super::*;

#[test]
fn whoever_waits_for_a_container_gets_a_record_read_after_he_asked() {
    let mut world = World::with(1);
    let refresh = |id: &str, ticket| Input::Refresh {
        part: Part::Container(id.into()),
        ticket,
    };
    world.happen("container", "create", "young");
    // The inspection that the event caused is under way, and may be too old.
    let (op, call) = world.calls.pop_front().unwrap();
    world.give(refresh("young", 1));
    let old = world.engine.answer(&call);
    world.engine.add("young");
    world.give(Input::Answered { op, result: old });
    assert!(!world.notices.contains(&"refreshed 1".to_owned()));
    world.run(Duration::ZERO);
    assert!(world.notices.contains(&"refreshed 1".to_owned()));
    assert!(world.view.containers.contains("young"));
    world.stop_engine();
    world.run(10 * SECOND);
    world.give(refresh("young", 2));
    assert_eq!(world.notices.last().unwrap(), "refreshed 2");
}

#[test]
fn whoever_changed_a_container_waits_for_what_the_event_makes_the_manager_read() {
    for event_first in [true, false] {
        let mut world = World::with(1);
        world.engine.add("young");
        let join = Input::Join {
            container: "young".into(),
            ticket: 1,
        };
        if event_first {
            world.happen("container", "create", "young");
            world.give(join);
        } else {
            world.give(join);
            assert!(world.calls.is_empty(), "the event is still to come");
            world.happen("container", "create", "young");
        }
        assert!(!world.notices.contains(&"refreshed 1".to_owned()));
        let (op, call) = world.calls.pop_front().unwrap();
        let found = world.engine.answer(&call);
        world.give(Input::Answered { op, result: found });
        assert!(world.notices.contains(&"refreshed 1".to_owned()));
        assert!(world.view.containers.contains("young"));
        assert!(world.calls.is_empty(), "it is not asked for once more");
    }
}

#[test]
fn without_an_event_a_changed_container_is_read_soon() {
    let mut world = World::with(1);
    world.engine.add("young");
    for ticket in [1, 2] {
        world.give(Input::Join {
            container: "young".into(),
            ticket,
        });
    }
    assert!(world.calls.is_empty());
    world.run(EVENT_PATIENCE);
    for ticket in [1, 2] {
        assert!(world.notices.contains(&format!("refreshed {ticket}")));
    }
    assert!(world.view.containers.contains("young"));
    let reads = |asked: &&String| asked.contains("young");
    assert_eq!(world.asked.iter().filter(reads).count(), 1);
}
