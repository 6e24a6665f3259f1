//! A subscription for async code, on any executor: it wakes a waker, and needs no runtime.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Advance, Delivery, Subscription};
use crate::error::Error;

/// A subscription as a `futures_core::Stream`. It ends when the store is closed, and after an error.
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use annals::{Delivery, Subscribe};
/// use futures_core::Stream;
///
/// # let dir = tempfile::tempdir()?;
/// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
/// let mut stream = pin!(store.subscribe(Subscribe::all())?.into_stream());
/// // An executor does this; `StreamExt::next` of the futures crate makes it `stream.next().await`.
/// let mut context = Context::from_waker(Waker::noop());
/// assert!(matches!(stream.as_mut().poll_next(&mut context), Poll::Ready(Some(Ok(Delivery::CaughtUp(_))))));
/// assert!(stream.as_mut().poll_next(&mut context).is_pending());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SubscriptionStream {
    subscription: Subscription,
}

impl SubscriptionStream {
    pub(super) fn new(subscription: Subscription) -> SubscriptionStream {
        SubscriptionStream { subscription }
    }

    /// Everything up to this position has been delivered, or does not match.
    pub fn position(&self) -> crate::model::Position {
        self.subscription.position()
    }

    /// Goes on behind `position`, as [`Subscription::pass_to`] does.
    pub fn pass_to(&mut self, position: crate::model::Position) -> Result<(), Error> {
        self.subscription.pass_to(position)
    }
}

impl futures_core::Stream for SubscriptionStream {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.subscription.advance() {
                Ok(Advance::Deliver(delivery)) => return Poll::Ready(Some(Ok(delivery))),
                Ok(Advance::End) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Advance::Wait) => {
                    let Subscription { reader, scanned, waiter, .. } = &self.subscription;
                    if !reader.visible().poll_beyond(*scanned, waiter, context.waker()) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}
