//! What a token is asked to allow (distribution's token scopes).

/// `repository:<name>:<actions>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope(String);

impl Scope {
    pub(crate) fn pull(repository: &str) -> Self {
        Self(format!("repository:{repository}:pull"))
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self(format!("repository:{repository}:pull,push"))
    }

    /// A scope as a challenge gives it.
    pub(crate) fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository that it is about.
    pub(crate) fn repository(&self) -> Option<&str> {
        let (repository, _actions) = self.0.strip_prefix("repository:")?.rsplit_once(':')?;
        Some(repository)
    }

    /// Whether a token for `self` serves where `other` is asked for.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let parts = |scope: &'_ Self| {
            let (name, actions) = scope.0.rsplit_once(':')?;
            let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
            Some((name.to_owned(), actions))
        };
        match (parts(self), parts(other)) {
            (Some((name, has)), Some((wanted, needs))) => {
                name == wanted && needs.iter().all(|action| has.contains(action))
            }
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_about_a_repository() {
        assert_eq!(Scope::push("a/b").repository(), Some("a/b"));
        assert_eq!(Scope::given("registry:catalog:*").repository(), None);
    }

    #[test]
    fn pushing_includes_pulling_from_the_same_repository() {
        assert!(Scope::push("a/b").covers(&Scope::pull("a/b")));
        assert!(Scope::push("a").covers(&Scope::given("repository:a:push,pull")));
        assert!(!Scope::pull("a").covers(&Scope::push("a")));
        assert!(!Scope::push("a").covers(&Scope::pull("b")));
        assert!(!Scope::push("a").covers(&Scope::given("registry:catalog:*")));
    }
}
