//! The text of a plan.

use crate::plan::Plan;

/// What is read is printed so that it is read again; it stays a plan without any of its faults, and its steps are in
/// order.
///
/// # Panics
/// When that is not so.
pub fn plan_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(plan) = Plan::parse(text) else { return };
    check(&plan);
}

/// The properties of a plan that can be run.
pub(super) fn check(plan: &Plan) {
    let printed = plan.to_json();
    let again = Plan::parse(&printed);
    assert_eq!(again.ok().as_ref(), Some(plan), "{printed}");
    for leave in 0..plan.faults.len().min(32) {
        let mut fewer = plan.clone();
        fewer.faults.remove(leave);
        assert!(fewer.check().is_ok(), "without fault {leave}: {printed}");
    }
    let steps = plan.steps();
    let begins = steps.iter().filter(|step| step.begins).count();
    assert_eq!(begins, plan.faults.len());
    assert!(steps.is_sorted_by_key(|step| step.at_ms), "{steps:?}");
    let _: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
}
