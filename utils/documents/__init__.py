"""Files and markup that hold documents: PDF pages, HTML, Markdown, tables; no model's habits."""
