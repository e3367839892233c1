//! Tenants: who is accounted, limited and kept apart, and by which token.

use crate::scheduler::{Payer, Tenant};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wfaas_function::{FunctionName, TenantName};

/// The usual weight, as of control groups of Linux (`cpu.weight`).
pub(crate) const WEIGHT: u32 = 100;

/// Terms of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTerms {
    /// Name.
    pub name: TenantName,
    /// Token that its management requests have to bring; `None` if nobody may manage its functions, or,
    /// of the tenant `default`, if [`Config::token`](crate::Config::token) is its token.
    pub token: Option<String>,
    /// Share of the processor, beside those of the others that want it: from 1 to 10 000, usually 100.
    pub weight: u32,
    /// Most requests under way at the same time, with those of suspended guests.
    pub max_requests: Option<u64>,
    /// Most bytes that the memory limits and stacks of its requests under way may have together.
    pub max_memory: Option<u64>,
}

impl TenantTerms {
    /// A tenant with the usual weight and without limits of its own.
    pub fn new(name: TenantName) -> TenantTerms {
        TenantTerms { name, token: None, weight: WEIGHT, max_requests: None, max_memory: None }
    }
}

/// All tenants of a server: those of its configuration, and those that a stored function names.
#[derive(Debug)]
pub(crate) struct Tenants {
    open: Mutex<Open>,
    tokens: Vec<(String, Arc<Tenant>)>,
    /// The tenant of everybody who names none.
    pub(crate) default: Arc<Tenant>,
}

#[derive(Debug, Default)]
struct Open {
    by_name: BTreeMap<TenantName, Arc<Tenant>>,
    /// The payers that something holds: a function that is deployed anew goes on with its account.
    payers: BTreeMap<(TenantName, FunctionName), Weak<Payer>>,
}

/// Terms that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// Two tenants have one name.
    #[error("the tenant {0} is there twice")]
    Twice(TenantName),
    /// A token is not one.
    #[error("the token of the tenant {0} has to be one or more visible ASCII characters")]
    Token(TenantName),
    /// Two tenants have one token.
    #[error("the tenant {0} has the token of another tenant")]
    SameToken(TenantName),
    /// A weight that is none.
    #[error("the weight of the tenant {0} has to be between 1 and 10000")]
    Weight(TenantName),
}

/// Largest weight.
const MAX_WEIGHT: u32 = 10_000;

impl Tenants {
    /// The tenants of a configuration. `token` is the default tenant's, unless its terms have one.
    ///
    /// # Errors
    /// [`TenantError`] names the tenant.
    pub(crate) fn new(token: Option<&str>, terms: &[TenantTerms]) -> Result<Tenants, TenantError> {
        let mut open = Open::default();
        let mut tokens: Vec<(String, Arc<Tenant>)> = Vec::new();
        let mut default = TenantTerms::new(TenantName::default());
        default.token = token.map(str::to_owned);
        let named = terms.iter().find(|terms| terms.name == default.name);
        if let Some(named) = named {
            default = TenantTerms { token: named.token.clone().or(default.token), ..named.clone() };
        }
        let others =
            terms.iter().filter(|terms| !named.is_some_and(|named| std::ptr::eq(*terms, named)));
        for terms in std::iter::once(&default).chain(others) {
            let name = || terms.name.clone();
            if !(1..=MAX_WEIGHT).contains(&terms.weight) {
                return Err(TenantError::Weight(name()));
            }
            if open.by_name.contains_key(&terms.name) {
                return Err(TenantError::Twice(name()));
            }
            let tenant = open.add(terms);
            let Some(token) = &terms.token else { continue };
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TenantError::Token(name()));
            }
            if tokens.iter().any(|(other, _)| other == token) {
                return Err(TenantError::SameToken(name()));
            }
            tokens.push((token.clone(), tenant));
        }
        let default = open.by_name[&default.name].clone();
        Ok(Tenants { open: Mutex::new(open), tokens, default })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any token.
    pub(crate) fn have_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// The tenant of a token. Takes a time that depends on the lengths alone.
    pub(crate) fn of_token(&self, given: &[u8]) -> Option<&Arc<Tenant>> {
        let mut found = None;
        for (token, tenant) in &self.tokens {
            if same_bytes(given, token.as_bytes()) {
                found = Some(tenant);
            }
        }
        found
    }

    /// The payer for a function of a tenant.
    pub(crate) fn payer(&self, tenant: &TenantName, function: &FunctionName) -> Arc<Payer> {
        let mut open = self.open();
        open.payers.retain(|_, payer| payer.strong_count() > 0);
        let key = (tenant.clone(), function.clone());
        if let Some(payer) = open.payers.get(&key).and_then(Weak::upgrade) {
            return payer;
        }
        let tenant = match open.by_name.get(tenant) {
            Some(tenant) => tenant.clone(),
            None => open.add(&TenantTerms::new(tenant.clone())),
        };
        let payer = Payer::new(function.clone(), &tenant);
        open.payers.insert(key, Arc::downgrade(&payer));
        payer
    }

    /// All payers that something holds, by the names of tenant and function.
    pub(crate) fn payers(&self) -> Vec<Arc<Payer>> {
        self.open().payers.values().filter_map(Weak::upgrade).collect()
    }
}

impl Open {
    fn add(&mut self, terms: &TenantTerms) -> Arc<Tenant> {
        let tenant = Arc::new(Tenant::new(terms, self.by_name.len()));
        self.by_name.insert(terms.name.clone(), tenant.clone());
        tenant
    }
}

/// Compares in a time that depends on the lengths alone.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b));
    a.len() == b.len() && std::hint::black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(name: &str, token: Option<&str>) -> TenantTerms {
        let token = token.map(str::to_owned);
        TenantTerms { token, ..TenantTerms::new(name.parse().unwrap()) }
    }

    #[test]
    fn a_token_is_of_one_tenant() {
        let all = [terms("a", Some("secret-a")), terms("b", Some("secret-b")), terms("c", None)];
        let tenants = Tenants::new(Some("secret"), &all).unwrap();
        let name = |token: &str| tenants.of_token(token.as_bytes()).map(|it| it.name.as_str());
        assert_eq!(
            [name("secret-a"), name("secret-b"), name("secret")],
            [Some("a"), Some("b"), Some("default")]
        );
        for wrong in ["", "secret-", "secret-c", "secret-aa"] {
            assert_eq!(name(wrong), None);
        }
        assert!(!Tenants::new(None, &[terms("a", None)]).unwrap().have_tokens());
    }

    #[test]
    fn terms_that_do_not_fit_are_refused() {
        let name = || "a".parse().unwrap();
        let refused = |all: &[TenantTerms]| Tenants::new(Some("x"), all).unwrap_err();
        assert_eq!(refused(&[terms("a", None), terms("a", None)]), TenantError::Twice(name()));
        assert_eq!(refused(&[terms("a", Some("x"))]), TenantError::SameToken(name()));
        assert_eq!(refused(&[terms("a", Some("a b"))]), TenantError::Token(name()));
        assert_eq!(refused(&[terms("a", Some(""))]), TenantError::Token(name()));
        let heavy = TenantTerms { weight: 0, ..terms("a", None) };
        assert_eq!(refused(&[heavy]), TenantError::Weight(name()));
        let defaults = [terms("default", Some("one")), terms("default", Some("two"))];
        assert_eq!(refused(&defaults), TenantError::Twice(TenantName::default()));
    }

    #[test]
    fn a_function_keeps_its_account_while_anything_holds_it() {
        let tenants = Tenants::new(None, &[]).unwrap();
        let of = |tenant: &str, name: &str| {
            tenants.payer(&tenant.parse().unwrap(), &name.parse().unwrap())
        };
        let payer = of("a", "f");
        assert!(Arc::ptr_eq(&payer, &of("a", "f")) && !Arc::ptr_eq(&payer, &of("b", "f")));
        assert!(Arc::ptr_eq(&payer.tenant, &of("a", "g").tenant));
        assert_eq!(tenants.payers().len(), 1, "the others are gone");
    }
}
