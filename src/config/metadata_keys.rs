//! Keys of entries in `actions.yaml` that Hasura does not have: what SDL directives declare on types and arguments.

/// The key of an argument's default.
pub const DEFAULT: &str = "default";

/// The key for `@deprecated`. Hasura has no place for it, nor for `@oneOf` and `@specifiedBy`: they are never exported,
/// and files have them in the SDL.
pub const DEPRECATED: &str = "deprecated";

/// Hasura's own key of a deprecated value of an enum.
pub const IS_DEPRECATED: &str = "is_deprecated";

/// The key of `@oneOf`.
pub const IS_ONE_OF: &str = "is_one_of";

/// The key for `@specifiedBy`.
pub const SPECIFIED_BY: &str = "specified_by";
