//! `--format`: Go's templates, as scripts use them with docker.
//!
//! ```text
//! {{.Repository}}:{{.Tag}}   {{json .}}   {{index .Config.Labels "a.b"}}   {{.Name | upper | printf "%-20s"}}
//! {{range $name, $net := .Networks}}{{$name}}={{$net.IPAddress}} {{end}}   {{if eq .State "running"}}up{{else}}down{{end}}
//! table {{.ID}}\t{{.Size}}
//! ```
//!
//! Templates that call others (`define`, `template`) are refused by name.

mod evaluation;
mod functions;
mod syntax;

use anyhow::Context as _;
use serde_json::Value;

use self::evaluation::Scope;
use self::syntax::{Node, Term, parse};
use crate::render::Table;

/// A template, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    shape: Shape,
    nodes: Vec<Node>,
}

/// What the results are put together to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A line each.
    Lines,
    /// Columns, with a header.
    Table,
}

impl Format {
    /// Reads `--format`; `json` alone is `{{json .}}`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (shape, template) = match text.strip_prefix("table ") {
            Some(rest) => (Shape::Table, rest.trim()),
            None if text == "json" => (Shape::Lines, "{{json .}}"),
            None => (Shape::Lines, text),
        };
        let nodes = parse(template).with_context(|| format!("--format {text:?}"))?;
        Ok(Self { shape, nodes })
    }

    /// All rows, each a JSON object, as text.
    pub(crate) fn render(&self, rows: &[Value]) -> anyhow::Result<String> {
        match self.shape {
            Shape::Lines => rows.iter().try_fold(String::new(), |mut text, row| {
                text.push_str(&self.line(row)?);
                text.push('\n');
                Ok(text)
            }),
            Shape::Table => self.table(rows),
        }
    }

    fn table(&self, rows: &[Value]) -> anyhow::Result<String> {
        let header: Vec<String> = self.header().split('\t').map(str::to_owned).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = Table::new(&header);
        for row in rows {
            let line = self.line(row)?;
            table.row(line.split('\t').map(str::to_owned));
        }
        Ok(table.render())
    }

    /// `{{.CreatedSince}}` is headed `CREATED SINCE`.
    fn header(&self) -> String {
        let of = |node: &Node| match node {
            Node::Text(text) => text.clone(),
            Node::Show(pipeline) => {
                let terms = pipeline
                    .iter()
                    .flat_map(|call| std::iter::once(&call.head).chain(&call.arguments));
                let mut names = terms.filter_map(|term| match term {
                    Term::Field(path) => path.last(),
                    _ => None,
                });
                names
                    .next()
                    .map_or_else(String::new, |name| spaced_upper(name))
            }
            _ => String::new(),
        };
        self.nodes.iter().map(of).collect()
    }

    fn line(&self, row: &Value) -> anyhow::Result<String> {
        let mut text = String::new();
        Scope::of(row).show(&self.nodes, &mut text)?;
        Ok(text)
    }
}

fn spaced_upper(name: &str) -> String {
    let mut text = String::new();
    let mut before_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && before_lower {
            text.push(' ');
        }
        before_lower = letter.is_lowercase();
        text.extend(letter.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(format: &str, row: &Value) -> String {
        let format = Format::parse(format).expect(format);
        format.render(std::slice::from_ref(row)).expect("a row")
    }

    #[test]
    fn fields_and_text_take_turns() {
        let row = json!({"Repository": "app", "Tag": "v1"});
        assert_eq!(shown("{{.Repository}}:{{ .Tag }}", &row), "app:v1\n");
        assert_eq!(
            shown("json", &row),
            "{\"Repository\":\"app\",\"Tag\":\"v1\"}\n"
        );
    }

    #[test]
    fn deeper_values_are_reached_by_path_and_by_index() {
        let row =
            json!({"Config": {"User": "www", "Labels": {"a.b": "c"}}, "RepoTags": ["x:1", "x:2"]});
        assert_eq!(shown("{{.Config.User}}", &row), "www\n");
        assert_eq!(shown("{{json .Config.Labels}}", &row), "{\"a.b\":\"c\"}\n");
        assert_eq!(shown("{{index .Config.Labels \"a.b\"}}", &row), "c\n");
        assert_eq!(shown("{{index .RepoTags 1}}", &row), "x:2\n");
        assert_eq!(shown("{{join .RepoTags \", \"}}", &row), "x:1, x:2\n");
        assert_eq!(
            shown("{{len .RepoTags}} {{.RepoTags}}", &row),
            "2 [x:1 x:2]\n"
        );
        assert_eq!(shown("{{.Config.Healthcheck}}", &row), "<no value>\n");
    }

    #[test]
    fn a_table_has_the_fields_as_its_header() {
        let row = json!({"ID": "0123", "CreatedSince": "now"});
        assert_eq!(
            shown("table {{.ID}}\\t{{.CreatedSince}}", &row),
            "ID        CREATED SINCE\n0123      now\n"
        );
    }

    #[test]
    fn loops_conditions_and_variables_are_those_of_go() {
        let row = json!({
            "Networks": {"b": {"IP": "10.0.0.2"}, "a": {"IP": "10.0.0.1"}},
            "Ports": ["80/tcp", "443/tcp"],
            "State": {"Running": true, "Code": 3},
            "None": null,
        });
        for (format, expected) in [
            ("{{range .Networks}}{{.IP}} {{end}}", "10.0.0.1 10.0.0.2 \n"),
            (
                "{{range $name, $net := .Networks}}{{$name}}={{$net.IP}};{{end}}",
                "a=10.0.0.1;b=10.0.0.2;\n",
            ),
            (
                "{{range $i, $p := .Ports}}{{if $i}}, {{end}}{{$p}}{{end}}",
                "80/tcp, 443/tcp\n",
            ),
            ("{{range .None}}x{{else}}none{{end}}", "none\n"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up\n"),
            (
                "{{if not .State.Running}}a{{else if eq .State.Code 3}}b{{else}}c{{end}}",
                "b\n",
            ),
            (
                "{{with .State}}{{.Code}} of {{len $.Ports}}{{end}}",
                "3 of 2\n",
            ),
            (
                "{{with .None}}x{{end}}{{$code := .State.Code}}[{{$code}}]",
                "[3]\n",
            ),
            ("{{with index .Ports 0}}{{.}}{{end}}", "80/tcp\n"),
            ("{{(index .Networks \"a\").IP}}", "10.0.0.1\n"),
        ] {
            assert_eq!(shown(format, &row), expected, "{format}");
        }
    }

    #[test]
    fn functions_and_pipes_are_those_of_docker() {
        let row = json!({"Name": "/web", "ID": "0123456789abcdef", "Size": 12, "Args": ["a", "b"]});
        for (format, expected) in [
            ("{{.Name | upper | printf \"%-6s|\"}}", "/WEB  |\n"),
            ("{{printf \"%s:%d\" .Name .Size}}", "/web:12\n"),
            ("{{slice .ID 0 4}} {{truncate .ID 3}}", "0123 012\n"),
            ("{{join (split .Name \"/\") \"-\"}}", "-web\n"),
            (
                "{{eq .Size 1 12}} {{gt .Size 3}} {{and .Size .Name}} {{or 0 \"x\"}}",
                "true true /web x\n",
            ),
            ("a {{- .Size -}}  b", "a12b\n"),
            (
                "{{println .Size}}{{/* nothing */}}{{json .Args}}",
                "12\n[\"a\",\"b\"]\n",
            ),
            ("{{title \"up\"}}{{\"}}\"}}", "Up}}\n"),
        ] {
            assert_eq!(shown(format, &row), expected, "{format}");
        }
        let format = Format::parse("{{nope .ID}}").expect("well-formed");
        let error = format.render(&[row]).expect_err("no such function");
        assert!(
            error.to_string().contains("there is no function nope"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let message = |format: &str| format!("{:#}", Format::parse(format).expect_err(format));
        assert!(message("{{template \"x\"}}").contains("template"), "others");
        assert!(message("{{.ID").contains("without its"), "an open brace");
        assert!(message("{{range .A}}").contains("{{end}}"), "an open block");
        assert!(message("{{end}}").contains("beginning"), "no block");
        assert!(
            message("{{(.A}}").contains("without its )"),
            "an open parenthesis"
        );
        assert!(
            message(&"{{if .A}}".repeat(10_000)).contains("deeply"),
            "deep blocks"
        );
        let deep = format!("{{{{{}}}}}", "(".repeat(100_000));
        assert!(message(&deep).contains("deeply"), "deep parentheses");
        let format = Format::parse("{{.Nope}}").expect("well-formed");
        let error = format
            .render(&[json!({"ID": 1})])
            .expect_err("no such field");
        assert!(error.to_string().contains(".ID"), "{error}");
    }
}
