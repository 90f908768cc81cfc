//! How a provider is to hand its result to us: decided here and nowhere else.
//!
//! | on offer | image | video |
//! |---|---|---|
//! | callback, and the provider can reach us | callback | callback |
//! | inline, beside others | inline | polling |
//! | inline alone | inline | inline |
//! | nothing of that | polling | polling |
//!
//! A callback costs no question and is there at once, so it comes first; polling stays behind it
//! for the one that gets lost. Without it an image is worth an open connection: it is made in
//! seconds. A film is not: a connection of minutes breaks, and nobody knows the job then.

use providers::{DeliveryMode, MediaKind};

/// The mode for one attempt. `offered` is what the provider can do for the model, `reachable`
/// whether it can call this server.
pub fn choose(offered: &[DeliveryMode], media: MediaKind, reachable: bool) -> DeliveryMode {
    let offers = |mode| offered.contains(&mode);
    if reachable && offers(DeliveryMode::Callback) {
        return DeliveryMode::Callback;
    }
    let is_alone = !offers(DeliveryMode::Polling);
    if offers(DeliveryMode::Inline) && (media == MediaKind::Image || is_alone) {
        return DeliveryMode::Inline;
    }
    DeliveryMode::Polling
}

#[cfg(test)]
mod tests {
    use providers::DeliveryMode::{Callback, Inline, Polling};
    use providers::MediaKind::{Image, Video};

    use super::*;

    #[test]
    fn the_choice_follows_the_offer_the_media_and_whether_we_can_be_reached() {
        let all: &[_] = &[Callback, Inline, Polling];
        let calls: &[_] = &[Callback, Polling];
        let table = [
            (all, Image, true, Callback),
            (all, Video, true, Callback),
            (all, Image, false, Inline),
            (all, Video, false, Polling),
            (calls, Image, true, Callback),
            (calls, Image, false, Polling),
            (calls, Video, false, Polling),
            (&[Inline], Image, true, Inline),
            (&[Inline], Video, false, Inline),
            (&[Polling], Image, true, Polling),
            (&[Polling], Video, false, Polling),
        ];
        for (offered, media, reachable, expected) in table {
            let chosen = choose(offered, media, reachable);
            assert_eq!(chosen, expected, "{offered:?} {media:?} {reachable}");
        }
    }
}
