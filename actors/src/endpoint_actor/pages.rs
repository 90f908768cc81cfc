//! How far the deliveries of an endpoint have been read.
//!
//! They are read page by page, in the order in which they are due. What is committed late may come
//! before what has been read, so only a page that is the first one and the last one at once says
//! that the store holds nothing else.

use chrono::{DateTime, Utc};

use crate::id::DeliveryId;
use crate::webhook::WebhookDelivery;

#[derive(Debug)]
pub(super) struct Pages {
    /// The last delivery of the page before; none at the beginning.
    after: Option<(DateTime<Utc>, DeliveryId)>,
    /// Whether the store may hold more than what has been read.
    more: bool,
    /// Whether a page is being read.
    reading: bool,
    /// What has been committed meanwhile.
    meanwhile: Vec<WebhookDelivery>,
    /// Whether there was more of that.
    missed: bool,
}

/// What is kept while a page is read.
const MEANWHILE_MAX: usize = 256;

impl Pages {
    /// Nothing is read yet.
    pub(super) fn new() -> Self {
        Self { after: None, more: true, reading: false, meanwhile: Vec::new(), missed: false }
    }

    pub(super) fn more(&self) -> bool {
        self.more
    }

    pub(super) fn reading(&self) -> bool {
        self.reading
    }

    /// The store holds something that is not read.
    pub(super) fn miss(&mut self) {
        self.more = true;
        self.missed |= self.reading;
    }

    /// These have been committed. Gives back what comes next now: what is new comes after what the
    /// store still holds.
    pub(super) fn commit(&mut self, new: Vec<WebhookDelivery>) -> Vec<WebhookDelivery> {
        if !self.more {
            return new;
        }
        if self.reading && self.meanwhile.len() + new.len() <= MEANWHILE_MAX {
            self.meanwhile.extend(new);
        } else {
            self.miss();
        }
        Vec::new()
    }

    /// A page is going to be read, after this delivery.
    pub(super) fn begin(&mut self) -> Option<(DateTime<Utc>, DeliveryId)> {
        self.reading = true;
        self.missed = false;
        self.after
    }

    /// It could not be read.
    pub(super) fn fail(&mut self) {
        self.reading = false;
        self.meanwhile.clear();
    }

    /// It was read, and there may be more after it. Gives back what comes next.
    pub(super) fn turn(
        &mut self,
        mut page: Vec<WebhookDelivery>,
        more: bool,
    ) -> Vec<WebhookDelivery> {
        let last = page.last().filter(|_| more);
        let was_first = self.after.is_none();
        self.after = last.map(|last| (last.next_try_at, last.id));
        self.more = more || !was_first || self.missed;
        self.reading = false;
        let meanwhile = std::mem::take(&mut self.meanwhile);
        if !self.more {
            page.extend(meanwhile);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(length: usize) -> Vec<WebhookDelivery> {
        vec![WebhookDelivery::blank(DateTime::UNIX_EPOCH); length]
    }

    #[test]
    fn the_end_is_a_page_that_is_the_first_and_the_last() {
        let mut pages = Pages::new();
        assert!(pages.more() && pages.begin().is_none());
        pages.turn(page(2), true);
        assert!(pages.more() && pages.begin().is_some(), "a full page");
        pages.turn(page(1), false);
        assert!(pages.more() && pages.begin().is_none(), "once more from the beginning");
        pages.turn(page(1), false);
        assert!(!pages.more());
    }

    #[test]
    fn what_is_committed_while_the_last_page_is_read_comes_after_it() {
        let mut pages = Pages::new();
        assert!(pages.commit(page(1)).is_empty(), "it is found when the store is read");
        pages.begin();
        assert!(pages.commit(page(1)).is_empty());
        assert_eq!(pages.turn(page(2), true).len(), 2);
        assert!(pages.more(), "what was committed meanwhile is read in its order");
        for _ in 0..2 {
            pages.begin();
            pages.turn(page(0), false);
        }
        assert!(!pages.more());
        assert_eq!(pages.commit(page(3)).len(), 3);
        pages.miss();
        pages.begin();
        pages.commit(page(2));
        assert_eq!((pages.turn(page(1), false).len(), pages.more()), (3, false));
        pages.miss();
        pages.begin();
        pages.commit(page(MEANWHILE_MAX + 1));
        assert_eq!((pages.turn(page(1), false).len(), pages.more()), (1, true), "too many");
    }
}
