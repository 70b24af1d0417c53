//! hyper's clock on the platform's clock.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use swarm_core::time::Mono;

use crate::platform::{BoxFuture, SharedPlatform};

/// hyper's [`Timer`] driven by [`crate::platform::Platform`]'s monotonic clock.
///
/// hyper speaks `Instant`, which cannot be constructed: one is taken once as the base and only differences to it count.
#[derive(Clone)]
pub struct PlatformTimer {
    platform: SharedPlatform,
    base: Instant,
    zero: Mono,
}

impl PlatformTimer {
    /// A timer on `platform`'s clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "only differences to this instant are used, so its value has no effect"
    )]
    pub fn new(platform: SharedPlatform) -> Self {
        let zero = platform.mono();
        Self {
            platform,
            base: Instant::now(),
            zero,
        }
    }

    fn until(&self, at: Mono) -> Pin<Box<dyn Sleep>> {
        Box::pin(PlatformSleep(Mutex::new(self.platform.sleep_until(at))))
    }
}

impl Timer for PlatformTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.until(self.platform.mono() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.until(self.zero + deadline.saturating_duration_since(self.base))
    }

    fn now(&self) -> Instant {
        self.base + self.platform.mono().since(self.zero)
    }
}

/// hyper wants `Sync`; the mutex gives it and is never locked, as polling has exclusive access.
struct PlatformSleep(Mutex<BoxFuture<'static, ()>>);

impl Future for PlatformSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        sleep.as_mut().poll(cx)
    }
}

impl Sleep for PlatformSleep {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestPlatform;
    use crate::platform::Platform;

    #[tokio::test(start_paused = true)]
    async fn sleeps_end_at_the_time_of_the_platform() {
        let platform = TestPlatform::new();
        let timer = PlatformTimer::new(platform.clone());
        let start = timer.now();
        timer.sleep(Duration::from_secs(5)).await;
        assert_eq!(platform.mono().since(Mono::ZERO).as_secs(), 5);
        assert_eq!((timer.now() - start).as_secs(), 5);
        let mut sleep = timer.sleep_until(start + Duration::from_secs(7));
        timer.reset(&mut sleep, start + Duration::from_secs(9));
        sleep.await;
        assert_eq!(platform.mono().since(Mono::ZERO).as_secs(), 9);
        // A deadline in the past is over.
        timer.sleep_until(start).await;
        assert_eq!(platform.mono().since(Mono::ZERO).as_secs(), 9);
    }
}
