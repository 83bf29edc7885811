//! How many requests are held, in all and for each client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::figures::{self, Figures};
use super::reply::Refusal;
use crate::listener::Limits;

/// Requests held now, of the clients that are counted.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<Client, usize>>);

impl Holds {
    /// Holds one more request, until the answer is dropped; of `client`, if it is known.
    pub(super) fn admit<'a>(
        &'a self,
        client: Option<Client>,
        limits: &Limits,
        figures: &'a Figures,
    ) -> Result<Held<'a>, Refusal> {
        let counted = figures.hold();
        if figures.held() > limits.held as u64 {
            figures.not_held();
            return Err(Refusal::ManyHeld);
        }
        if let Some(client) = client {
            let mut clients = self.clients();
            let count = clients.entry(client).or_default();
            if *count >= limits.held_per_client {
                figures.not_held();
                return Err(Refusal::ManyHeldForClient);
            }
            *count += 1;
        }
        Ok(Held { holds: self, client, _counted: counted })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        // Counting cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request being held.
#[derive(Debug)]
pub(super) struct Held<'a> {
    holds: &'a Holds,
    client: Option<Client>,
    _counted: figures::Held<'a>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        if let Entry::Occupied(mut count) = self.holds.clients().entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
