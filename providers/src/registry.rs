//! Which providers this server has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Provider;
use crate::name::ProviderName;

/// The providers by name, put together once at start.
#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
}

impl Registry {
    /// The provider of this name, if this server has it.
    pub fn get(&self, name: ProviderName) -> Option<&Arc<dyn Provider>> {
        self.providers.get(&name)
    }

    /// Every name there is a provider for, in the order of [`ProviderName`].
    pub fn names(&self) -> impl Iterator<Item = ProviderName> + '_ {
        self.providers.keys().copied()
    }

    /// Adds a provider under its own name, in place of the one that had it.
    pub fn insert(&mut self, provider: Arc<dyn Provider>) {
        self.providers.insert(provider.name(), provider);
    }
}

impl FromIterator<Arc<dyn Provider>> for Registry {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Provider>>>(providers: I) -> Self {
        let mut registry = Self::default();
        providers.into_iter().for_each(|provider| registry.insert(provider));
        registry
    }
}
