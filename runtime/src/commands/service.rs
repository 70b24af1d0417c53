//! What the service manager that started this process is told (`sd_notify(3)`); nothing where there is none.

use sd_notify::NotifyState;

/// The process does its work from now on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The process reads its files again; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no time to tell the service manager"),
    }
}

/// The process is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}
