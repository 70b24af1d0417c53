//! Several futures at a time, in place: dropping the whole drops each.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::answer::ApiError;
use crate::platform::BoxFuture;

/// Runs all `futures` at the same time; their results in the same order.
pub(super) async fn join_all<T: Unpin>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    JoinAll {
        slots: futures.into_iter().map(Slot::Running).collect(),
    }
    .await
}

/// The first of several answers, all asked for at the same time, that found something.
///
/// # Errors
/// When none found anything and one failed, which might have.
pub(super) async fn first_found<T: Unpin>(
    asked: Vec<BoxFuture<'_, Result<Option<T>, ApiError>>>,
) -> Result<Option<T>, ApiError> {
    let mut unclear = None;
    for answer in join_all(asked).await {
        match answer {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => unclear = Some(error),
        }
    }
    unclear.map_or(Ok(None), Err)
}

enum Slot<'a, T> {
    Running(BoxFuture<'a, T>),
    Done(Option<T>),
}

struct JoinAll<'a, T> {
    slots: Vec<Slot<'a, T>>,
}

impl<T: Unpin> Future for JoinAll<'_, T> {
    type Output = Vec<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        let mut waiting = false;
        for slot in &mut self.slots {
            if let Slot::Running(future) = slot {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *slot = Slot::Done(Some(value)),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return Poll::Pending;
        }
        let done = self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Done(value) => value.take(),
            Slot::Running(_) => None,
        });
        Poll::Ready(done.collect())
    }
}
