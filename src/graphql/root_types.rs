//! The names of the upstream's root types.

use crate::model::action::OperationKind;
use crate::model::response::Dialect;

/// The names of the upstream's root types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootTypes {
    /// The query root's name.
    pub query: String,
    /// The mutation root's name.
    pub mutation: String,
    /// The subscription root's name.
    pub subscription: String,
}

impl RootTypes {
    /// What upstreams of this dialect call them.
    #[must_use]
    pub fn usual(dialect: Dialect) -> Self {
        let (query, mutation, subscription) = match dialect {
            Dialect::Hasura => ("query_root", "mutation_root", "subscription_root"),
            Dialect::Standard => ("Query", "Mutation", "Subscription"),
        };
        Self { query: query.into(), mutation: mutation.into(), subscription: subscription.into() }
    }

    /// The names in use, as far as the upstream reports them, and its error format.
    ///
    /// # Examples
    /// ```
    /// use pillion::graphql::root_types::RootTypes;
    /// use pillion::model::response::Dialect;
    ///
    /// let (roots, dialect) = RootTypes::of_upstream("query_root", None, None);
    /// assert_eq!((roots.mutation.as_str(), dialect), ("mutation_root", Dialect::Hasura));
    /// ```
    #[must_use]
    pub fn of_upstream(query: &str, mutation: Option<String>, subscription: Option<String>) -> (Self, Dialect) {
        let dialect = if query == "query_root" { Dialect::Hasura } else { Dialect::Standard };
        let usual = Self::usual(dialect);
        let roots = Self {
            query: query.to_owned(),
            mutation: mutation.unwrap_or(usual.mutation),
            subscription: subscription.unwrap_or(usual.subscription),
        };
        (roots, dialect)
    }

    /// The name of the root that an operation of this kind starts from.
    #[must_use]
    pub fn of(&self, kind: OperationKind) -> &str {
        match kind {
            OperationKind::Query => &self.query,
            OperationKind::Mutation => &self.mutation,
            OperationKind::Subscription => &self.subscription,
        }
    }
}
