//! What the testbed needs inside the code under test: planted bugs, and marks that say "this was reached".
//!
//! Both exist in test builds and with the feature `testbed` only; in a released binary every call here is a constant.
//! They are per thread, as a simulated world is: worlds on other threads are not touched.

mod mark;
mod mutant;

pub use mark::Mark;
#[cfg(any(test, feature = "testbed"))]
pub use mark::{reached_marks, reset_marks};
pub use mutant::Mutant;
#[cfg(any(test, feature = "testbed"))]
pub use mutant::{Planted, plant};

pub use mark::reach;
pub(crate) use mutant::disturbance;
pub use mutant::planted;
