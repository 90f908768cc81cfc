//! A table with search, order and pages, all of it in the address: it can be sent to somebody,
//! and works without scripts.

use actors::ports::logs::Window;
use chrono::{NaiveDate, NaiveTime};
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

/// Characters of a search that are looked at.
const SEARCH_MAX: usize = 200;

/// What the address says of a table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    /// What is searched for.
    q: String,
    /// The column to order by; descending with a `-` before it.
    sort: String,
    /// The key of the last row of the page before.
    pub(super) after: String,
    /// `full` for the table on a page of its own.
    view: String,
}

/// Which way a column is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl ListQuery {
    /// What to look for, in lower case; `None` for everything.
    pub(super) fn search(&self) -> Option<String> {
        // PostgreSQL has no text with a zero in it, and nobody types one.
        let typed = self.q.chars().filter(|char| !char.is_control());
        let text = typed.take(SEARCH_MAX).collect::<String>().trim().to_lowercase();
        (!text.is_empty()).then_some(text)
    }

    /// Where news of the list are told: only of its beginning, and of all that is in it, since
    /// nothing else is made longer by them.
    pub(super) fn live(&self, path: &str) -> String {
        let is_whole = self.after.is_empty() && self.search().is_none();
        if is_whole { format!("{path}/live") } else { String::new() }
    }

    /// The column to order by, if the address names one.
    pub(super) fn order(&self) -> Option<(&str, Order)> {
        match self.sort.strip_prefix('-') {
            Some(column) => Some((column, Order::Descending)),
            None => Some((self.sort.as_str(), Order::Ascending)).filter(|(it, _)| !it.is_empty()),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.view == "full"
    }
}

/// A heading of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The name in the address, when it can be ordered by.
    pub(super) sort: Option<&'static str>,
    /// Whether its cells are numbers, which stand on the right.
    pub(super) is_number: bool,
}

impl Column {
    pub(super) const fn of(title: &'static str) -> Self {
        Self { title, sort: None, is_number: false }
    }

    pub(super) const fn sorted(title: &'static str, name: &'static str) -> Self {
        Self { title, sort: Some(name), is_number: false }
    }

    pub(super) const fn number(self) -> Self {
        Self { is_number: true, ..self }
    }
}

/// What a table shows of all that there is, and who may take that along: what `tables::table` draws
/// beside the search. Its values are part of the address, as the search is.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) controls: Vec<Control>,
    /// Whether everything that matches can be had as a file: at the address of the table with
    /// `.csv` or `.json`.
    pub(super) exports_all: bool,
}

/// A field beside the search.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// As it stands in the address; empty for everything.
    pub(super) value: String,
    pub(super) kind: ControlKind,
}

#[derive(Debug)]
pub(super) enum ControlKind {
    /// One of these: values and what they are called.
    Choice(Vec<(String, String)>),
    /// A day of UTC.
    Day,
}

impl Control {
    /// One of several, or all of them.
    pub(super) fn choice(
        name: &'static str,
        label: &'static str,
        value: &str,
        choices: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let kind = ControlKind::Choice(choices.into_iter().collect());
        Self { name, label, value: value.to_owned(), kind }
    }

    /// The first and the last day.
    pub(super) fn days(span: &Span) -> [Self; 2] {
        [("from", "From", &span.from), ("until", "Until", &span.until)].map(
            |(name, label, value)| {
                let value = value.clone();
                Self { name, label, value, kind: ControlKind::Day }
            },
        )
    }
}

/// A time range as it stands in the address: days of UTC, of which both belong to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Span {
    from: String,
    until: String,
}

impl Span {
    /// The window of a page of a log; what is no day is no limit.
    pub(super) fn window(&self, query: &ListQuery) -> Window {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        Window {
            after: Uuid::try_parse(&query.after).ok(),
            oldest_first: query.order() == Some(("time", Order::Ascending)),
            from: day(&self.from).map(midnight),
            until: day(&self.until).and_then(|day| day.succ_opt()).map(midnight),
            text: query.search(),
        }
    }
}

/// What is shown in place of no rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Empty {
    pub(super) icon: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
}

/// What stands in place of rows when a search finds none.
const NO_MATCH: Empty = Empty {
    icon: "search",
    title: "No results found",
    text: "Nothing matches. Try other words, or fewer.",
};

/// A table, without its rows.
#[derive(Debug)]
pub(super) struct Listing {
    /// Unique on its page.
    pub(super) id: &'static str,
    /// What a screen reader calls it.
    pub(super) label: &'static str,
    /// Where it is.
    pub(super) path: String,
    pub(super) query: ListQuery,
    /// Other parts of the query, which links keep.
    pub(super) filters: Vec<(&'static str, String)>,
    /// What is chosen beside the search.
    pub(super) chosen: Filters,
    pub(super) columns: &'static [Column],
    /// Whether rows end with a menu.
    pub(super) has_menu: bool,
    /// The name of the file that selected rows are exported to, for tables that have that.
    pub(super) export: Option<&'static str>,
    pub(super) is_empty: bool,
    pub(super) empty: Empty,
    /// The key of the last row, when there are more.
    pub(super) next: Option<String>,
    /// What changes when the rows do, and where that is told; empty for a table that stands still.
    pub(super) version: String,
    pub(super) live: String,
}

impl Listing {
    /// What is searched for, as it was typed.
    pub(super) fn q(&self) -> &str {
        &self.query.q
    }

    pub(super) fn sort(&self) -> &str {
        &self.query.sort
    }

    pub(super) fn is_full(&self) -> bool {
        self.query.is_full()
    }

    /// What to show in place of no rows.
    pub(super) fn placeholder(&self) -> Empty {
        let chosen = self.chosen.controls.iter().any(|control| !control.value.is_empty());
        if chosen || self.query.search().is_some() { NO_MATCH } else { self.empty }
    }

    /// `aria-sort` of a column.
    pub(super) fn sorted(&self, column: &Column) -> &'static str {
        match self.query.order() {
            Some((name, Order::Ascending)) if column.sort == Some(name) => "ascending",
            Some((name, Order::Descending)) if column.sort == Some(name) => "descending",
            Some(_) | None => "none",
        }
    }

    /// Orders by a column: up, then down, then as before.
    pub(super) fn sort_href(&self, column: &Column) -> String {
        let name = column.sort.unwrap_or_default();
        let sort = match self.sorted(column) {
            "ascending" => format!("-{name}"),
            "descending" => String::new(),
            _ => name.to_owned(),
        };
        self.href(&ListQuery { sort, after: String::new(), ..self.query.clone() })
    }

    pub(super) fn first_href(&self) -> Option<String> {
        let first = ListQuery { after: String::new(), ..self.query.clone() };
        (!self.query.after.is_empty()).then(|| self.href(&first))
    }

    pub(super) fn next_href(&self) -> Option<String> {
        let after = self.next.clone()?;
        Some(self.href(&ListQuery { after, ..self.query.clone() }))
    }

    /// To the page of its own, or back from there.
    pub(super) fn full_href(&self) -> String {
        let view = if self.is_full() { String::new() } else { "full".to_owned() };
        self.href(&ListQuery { view, ..self.query.clone() })
    }

    /// The same page, with one of its dialogs open.
    pub(super) fn dialog_href(&self, dialog: &str, id: &str) -> String {
        let mut href = self.here();
        href.push(if href.contains('?') { '&' } else { '?' });
        let mut more = Serializer::new(String::new());
        more.append_pair("dialog", dialog);
        if !id.is_empty() {
            more.append_pair("id", id);
        }
        href + &more.finish()
    }

    /// This page, without dialogs.
    pub(super) fn here(&self) -> String {
        self.href(&self.query)
    }

    fn href(&self, query: &ListQuery) -> String {
        let mut text = Serializer::new(String::new());
        for (name, value) in
            [("q", &query.q), ("sort", &query.sort), ("after", &query.after), ("view", &query.view)]
        {
            if !value.is_empty() {
                text.append_pair(name, value);
            }
        }
        for (name, value) in &self.filters {
            text.append_pair(name, value);
        }
        for control in self.chosen.controls.iter().filter(|control| !control.value.is_empty()) {
            text.append_pair(control.name, &control.value);
        }
        match text.finish() {
            empty if empty.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

/// One page of rows that are all in memory, and the key of its last row when there are more.
pub(super) fn cut<T>(
    rows: Vec<T>,
    after: &str,
    limit: usize,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let before = rows.iter().position(|row| key(row) == after).map_or(0, |index| index + 1);
    let mut rows: Vec<T> = rows.into_iter().skip(before).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(key);
    (rows, next)
}

/// Rows that are looked at for one page of a search: some milliseconds.
const LOOKED_AT_MAX: usize = 1000;

/// One page of the rows that match, of a table that is read by key, and where the next page begins
/// when there may be more. A search that finds little looks at a bounded number of rows, and goes
/// on with the next page.
pub(super) async fn find_page<T, K: Clone, E>(
    mut after: Option<K>,
    limit: usize,
    matches: impl Fn(&T) -> bool,
    key: impl Fn(&T) -> K,
    read: impl AsyncFn(Option<K>, u32) -> Result<Vec<T>, E>,
) -> Result<(Vec<T>, Option<K>), E> {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    let wanted = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    loop {
        let rows = read(after.clone(), wanted).await?;
        let is_last = rows.len() <= limit;
        looked_at += rows.len();
        for row in rows {
            let here = key(&row);
            if matches(&row) {
                if found.len() == limit {
                    return Ok((found, after));
                }
                found.push(row);
            }
            after = Some(here);
        }
        match is_last {
            true => return Ok((found, None)),
            false if looked_at >= LOOKED_AT_MAX => return Ok((found, after)),
            false => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const COLUMNS: [Column; 2] = [Column::sorted("Name", "name"), Column::of("Prefix")];

    fn listing(query: ListQuery) -> Listing {
        Listing {
            id: "keys",
            label: "API keys",
            path: "/home/personal/api-keys".to_owned(),
            query,
            chosen: Filters::default(),
            filters: vec![("kind", "a&b".to_owned())],
            columns: &COLUMNS,
            has_menu: true,
            export: None,
            is_empty: false,
            empty: Empty { icon: "key-round", title: "No data available", text: "" },
            next: None,
            version: String::new(),
            live: String::new(),
        }
    }

    #[test]
    fn links_keep_what_they_do_not_change() {
        let query =
            ListQuery { q: "a b".to_owned(), after: "7".to_owned(), ..ListQuery::default() };
        let listing = listing(query);
        let sorted = listing.sort_href(&COLUMNS[0]);
        assert_eq!(sorted, "/home/personal/api-keys?q=a+b&sort=name&kind=a%26b");
        let full = listing.full_href();
        assert_eq!(full, "/home/personal/api-keys?q=a+b&after=7&view=full&kind=a%26b");
        let dialog = listing.dialog_href("rotate", "5");
        assert!(dialog.ends_with("&kind=a%26b&dialog=rotate&id=5"), "{dialog}");
        assert_eq!(listing.first_href().unwrap(), "/home/personal/api-keys?q=a+b&kind=a%26b");
        assert_eq!(listing.next_href(), None);
    }

    #[test]
    fn a_column_is_ordered_up_then_down_then_not() {
        for (sort, is, next) in [
            ("", "none", "sort=name&"),
            ("name", "ascending", "sort=-name&"),
            ("-name", "descending", ""),
            ("-other", "none", "sort=name&"),
        ] {
            let listing = listing(ListQuery { sort: sort.to_owned(), ..ListQuery::default() });
            assert_eq!(listing.sorted(&COLUMNS[0]), is);
            let href = listing.sort_href(&COLUMNS[0]);
            assert_eq!(href, format!("/home/personal/api-keys?{next}kind=a%26b"));
        }
    }

    /// What a search for multiples of this finds among the numbers from 1 to 2500.
    async fn multiples(of: u32, after: Option<u32>) -> (Vec<u32>, Option<u32>) {
        let read = async |after: Option<u32>, limit: u32| {
            let first = after.unwrap_or(0) + 1;
            Ok::<_, Infallible>((first..=2500).take(limit as usize).collect())
        };
        find_page(after, 3, |number| number % of == 0, |number| *number, read).await.unwrap()
    }

    #[tokio::test]
    async fn a_search_looks_at_so_many_rows_and_goes_on_where_it_was() {
        assert_eq!(multiples(1, None).await, (vec![1, 2, 3], Some(3)));
        assert_eq!(multiples(1, Some(2497)).await, (vec![2498, 2499, 2500], None));
        assert_eq!(multiples(2, Some(3)).await, (vec![4, 6, 8], Some(9)));
        let (none, next) = multiples(2001, None).await;
        assert_eq!((none, next), (Vec::new(), Some(1000)));
        assert_eq!(multiples(2001, Some(2000)).await, (vec![2001], None));
        assert_eq!(multiples(9999, Some(2000)).await, (Vec::new(), None));
    }

    #[test]
    fn pages_follow_each_other_by_key() {
        let page = |after: &str| cut((1..=5).collect(), after, 2, i32::to_string);
        assert_eq!(page(""), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(page("2"), (vec![3, 4], Some("4".to_owned())));
        assert_eq!(page("4"), (vec![5], None));
        assert_eq!(page("5"), (vec![], None));
        assert_eq!(page("gone"), (vec![1, 2], Some("2".to_owned())));
    }

    #[test]
    fn what_is_chosen_is_kept_by_links_and_days_are_whole() {
        let span = Span { from: "2026-03-01".to_owned(), until: "2026-03-01".to_owned() };
        let mut list = listing(ListQuery { sort: "time".to_owned(), ..ListQuery::default() });
        list.chosen.controls = Vec::from(Control::days(&span));
        assert!(list.here().ends_with("&from=2026-03-01&until=2026-03-01"), "{}", list.here());
        assert_eq!(list.placeholder().title, NO_MATCH.title);
        let window = span.window(&list.query);
        let at = |text: &str| text.parse().ok();
        assert_eq!(window.from, at("2026-03-01T00:00:00Z"));
        assert_eq!(window.until, at("2026-03-02T00:00:00Z"));
        assert!(window.oldest_first);
        let odd = Span { from: "yesterday".to_owned(), until: "9999999-01-01".to_owned() };
        assert_eq!(odd.window(&ListQuery::default()), Window::default());
    }
}
