//! `generation_provider_order`: `fastest`, or providers of the model joined with commas.

use providers::name::ProviderName;
use serde_json::Value;

use crate::catalogue::field::Misfit;

/// The order asked for, or `None` for `fastest`.
///
/// BabySea documents a closed list of strings: the stack of a model, or `fastest`
/// (`spec/contract.md` 7.3). We accept more, by our own choice and as `spec/domain.md` C.5
/// advises: any of the model's own providers, at least one, none twice, in any order, with or
/// without one space on either side of a comma. It lets a client pin or leave out a provider,
/// and whatever a BabySea client sends still works. `fastest` is accepted with a single
/// provider too (`spec/contract.md` B.3).
pub(super) fn check_order(
    value: &Value,
    stack: &[ProviderName],
) -> Result<Option<Vec<ProviderName>>, Misfit> {
    let text = value.as_str().ok_or_else(|| Misfit::new("must be a string"))?;
    if text == "fastest" {
        return Ok(None);
    }
    let mut order = Vec::with_capacity(stack.len());
    let mut items = text.split(',').enumerate().peekable();
    while let Some((index, item)) = items.next() {
        let item = match index {
            0 => item,
            _ => item.strip_prefix(' ').unwrap_or(item),
        };
        let item = match items.peek() {
            None => item,
            Some(_) => item.strip_suffix(' ').unwrap_or(item),
        };
        match ProviderName::parse(item).filter(|name| stack.contains(name)) {
            Some(name) if order.contains(&name) => {
                return Err(Misfit::new(format!("names {name} twice")));
            }
            Some(name) => order.push(name),
            None => {
                return Err(Misfit::new(format!(
                    "must be fastest, or a list of this model's providers: {}",
                    to_text(stack)
                )));
            }
        }
    }
    Ok(Some(order))
}

/// As the contract writes an order.
pub(super) fn to_text(order: &[ProviderName]) -> String {
    let names: Vec<&str> = order.iter().map(|name| name.as_str()).collect();
    names.join(", ")
}
