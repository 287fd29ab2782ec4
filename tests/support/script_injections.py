"""Texts that run as a script, ask another host or break out, where they are taken for markup."""

ACTS = [
    "window.hacked = 1",
    "alert(1)",
    "fetch('http://foreign.example/x')",
    "document.body.innerHTML = ''",
    "app.graph.clear()",
]
FORMS = [
    "<script>{}</script>",
    '<img src=x onerror="{}">',
    '<svg onload="{}">',
    '"><img src=x onerror={}>',
    "' onmouseover='{}",
    '<a href="javascript:{}">a cat</a>',
    '<iframe srcdoc="<script>{}</script>"></iframe>',
    '<details open ontoggle="{}">',
    "</textarea><script>{}</script>",
    "${{{}}}",
    "{{{{{}}}}}",
    "[a cat](javascript:{})",
]
# What asks another host, were it markup.
FOREIGN = [
    '<img src="http://foreign.example/a.png">',
    "![a cat](http://foreign.example/a.png)",
    '<link rel="stylesheet" href="http://foreign.example/a.css">',
    "<style>@import 'http://foreign.example/a.css';</style>",
]


def script_injections() -> list[str]:
    """Sixty that run something, and those that only ask."""
    return [form.format(act) for form in FORMS for act in ACTS] + FOREIGN
