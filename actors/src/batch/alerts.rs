//! Alerts about a low balance, decided with the reserve that causes them.

use chrono::{DateTime, Utc};

use std::sync::Arc;

use crate::activity::Deed;
use crate::alert::low_balance_data;
use crate::batch::Batch;
use crate::batch::webhooks::News;
use crate::id::AccountId;
use crate::mail::Mail;
use crate::notification::NotificationKind;
use crate::webhook::EventName;

impl Batch<'_> {
    /// Tells the owner when the balance has fallen below a threshold. Compares two numbers of
    /// a row that is at hand, unless it has.
    pub(super) fn alert_if_low(&mut self, account_id: AccountId, at: DateTime<Utc>) {
        let Some(standing) = self.snapshot.standings.get(&account_id) else { return };
        let balance = standing.balance.credits;
        if balance >= standing.alert_below {
            return;
        }
        let Some(alerts) = self.snapshot.alerts.get_mut(&account_id) else { return };
        let crossed = alerts.fall(balance, at);
        if crossed.is_empty() {
            return;
        }
        let after = alerts.clone();
        self.changes.alerts.retain(|(other, _)| *other != account_id);
        self.changes.alerts.push((account_id, after.clone()));
        self.change_standing(account_id, |standing| standing.alert_below = after.alert_below());
        let data = low_balance_data(account_id, balance, &crossed);
        let shown: Vec<String> = crossed.iter().map(ToString::to_string).collect();
        let told = format!("Balance {balance} is below {}", shown.join(", "));
        self.log(account_id, Deed::new("credit_alert", "alert_fired", told), at);
        if after.settings.email {
            let mail = Mail::LowBalance { balance: balance.to_string(), thresholds: shown };
            self.mail_owner(account_id, mail, at);
        }
        if after.settings.in_app {
            self.notify(account_id, NotificationKind::CreditsLowBalance, data.clone(), at);
        }
        if after.settings.webhook {
            let event = EventName::CreditsLowBalance;
            let news = News { account_id, event, generation_id: None, data: Arc::new(data), at };
            let endpoints = self.subscribed(account_id, event);
            self.tell(endpoints, &news);
        }
    }
}
