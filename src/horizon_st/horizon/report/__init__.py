"""Studies -> what people read: the terminal, Markdown with a figure, one HTML file."""

from horizon_st.horizon.report.page import PAGE_FILE, write_page
from horizon_st.horizon.report.text import markdown, show, table_of

__all__ = ["PAGE_FILE", "markdown", "show", "table_of", "write_page"]
