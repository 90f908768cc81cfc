//! A map that many threads share and strangers cannot fill.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

/// Holds about `max` entries; a new one beyond that takes the place of another.
///
/// Whose place is decided by a counter over the map's own order, which nobody outside knows.
/// Finding it walks the map, so this is for entries that cost more than that to come by: a
/// bcrypt, a look-up, a failed request.
pub(super) struct Bounded<K, V> {
    entries: DashMap<K, V>,
    max: usize,
    turn: AtomicUsize,
}

impl<K: Hash + Eq + Copy, V> Bounded<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: DashMap::new(), max, turn: AtomicUsize::new(0) }
    }

    /// Reads an entry in place.
    pub(super) fn read<T>(&self, key: &K, read: impl FnOnce(&V) -> T) -> Option<T> {
        self.entries.get(key).map(|entry| read(&entry))
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.make_room(&key);
        self.entries.insert(key, value);
    }

    pub(super) fn remove(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Changes an entry in place, a new one if there is none.
    pub(super) fn change(&self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        self.make_room(&key);
        change(&mut self.entries.entry(key).or_default());
    }

    /// Takes everything out.
    pub(super) fn drain(&self) -> Vec<(K, V)> {
        let keys: Vec<K> = self.entries.iter().map(|entry| *entry.key()).collect();
        keys.iter().filter_map(|key| self.entries.remove(key)).collect()
    }

    fn make_room(&self, key: &K) {
        if self.entries.len() < self.max || self.entries.contains_key(key) {
            return;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.max.max(1);
        let victim = self.entries.iter().nth(turn).map(|entry| *entry.key());
        if let Some(victim) = victim {
            self.entries.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_outgrows_its_bound() {
        let map = Bounded::new(8);
        for key in 0..1000 {
            map.insert(key, key);
            map.change(key, |value| *value += 1);
            assert_eq!(map.read(&key, |value| *value), Some(key + 1));
        }
        assert_eq!(map.drain().len(), 8);
        assert!(map.drain().is_empty());
    }
}
