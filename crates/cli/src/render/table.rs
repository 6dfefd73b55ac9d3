//! Columns as docker prints them: left-aligned, three blanks wider than their widest cell and at least ten wide, but for the
//! last one, which is not padded.

/// Blanks after the widest cell of a column.
const GAP: usize = 3;
/// The least that a column takes, its gap included.
const MIN_COLUMN: usize = 10;

/// A table with a header.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    min_column: usize,
}

impl Table {
    /// Only the header.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
            min_column: MIN_COLUMN,
        }
    }

    /// With columns of at least `letters`, their gaps included.
    pub(crate) fn at_least(mut self, letters: usize) -> Self {
        self.min_column = letters;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, a line a row.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .map_or(self.min_column, |widest| self.min_column.max(widest + GAP))
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                text.push_str(cell);
                if column + 1 < row.len() {
                    text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_as_dockers() {
        let mut table = Table::new(&["REPOSITORY", "TAG", "SIZE", "COMMENT"]);
        table.row(["localhost:5000/app", "v1", "4.27MB", ""].map(str::to_owned));
        assert_eq!(
            table.render(),
            "REPOSITORY           TAG       SIZE      COMMENT\nlocalhost:5000/app   v1        4.27MB    \n"
        );
    }
}
