//! The domain, its ports, and the actors that decide when.
