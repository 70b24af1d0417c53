//! Scenarios that are files. Anything that can be said in a script can be said in a file, without a compiler.

/// Puts the named files of `files/` into the program.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../files/", $name, ".json")))),*]
    };
}

pub(super) const FILES: &[(&str, &str)] = files![
    "bridge_between_halves",
    "calm_day",
    "flapping_link_to_the_store",
    "ha6_19_one_failed_renewal",
    "power_loss_of_two_managers",
    "store_leader_lost_and_primary_killed",
    "swizzled_pauses",
];
