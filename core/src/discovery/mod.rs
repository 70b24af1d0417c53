//! Where engines come from: discovery URLs, their options, the keys in a store, and listings of engines.
//!
//! Pure: texts go in, engines and keys come out. `runtime` does the reading and feeds each listing through a
//! [`Damper`] before it believes it.

mod damping;
mod entries;
mod layout;
mod options;
mod url;

pub use damping::{Change, Damper, Doubt};
pub use entries::{EntryError, EntryProblem, LISTING_MAX, Listing, diff};
pub use layout::{KV_PATH_DEFAULT, KeyLayout, PathError};
pub use options::{DiscoveryOptions, OptionError, Secret, StoreUser};
pub use url::{Discovery, DiscoveryError};
