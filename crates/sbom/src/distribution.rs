//! Which distribution a file system is (os-release(5)).

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distribution {
    /// `debian`.
    pub id: String,
    /// `12`; empty for one without versions.
    pub version: String,
}

impl Distribution {
    /// The files that tell, in order.
    pub(crate) const FILES: [&'static str; 2] = ["etc/os-release", "usr/lib/os-release"];

    /// Reads os-release.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let lines = text.lines().map(str::trim);
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            values.next().map(unquoted)
        };
        let id = value("ID").filter(|id| !id.is_empty())?;
        Some(Self {
            id,
            version: value("VERSION_ID").unwrap_or_default(),
        })
    }

    /// `debian-12`
    pub(crate) fn qualifier(&self) -> String {
        match self.version.as_str() {
            "" => self.id.clone(),
            version => format!("{}-{version}", self.id),
        }
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_id_and_version() {
        let debian = Distribution::parse("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n");
        assert_eq!(
            debian.map(|it| it.qualifier()).as_deref(),
            Some("debian-12")
        );
        let arch = Distribution::parse("ID='arch'\n");
        assert_eq!(arch.map(|it| it.qualifier()).as_deref(), Some("arch"));
        assert_eq!(Distribution::parse("VERSION_ID=1"), None);
    }
}
