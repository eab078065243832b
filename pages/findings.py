"""Findings: what people saved, filtered and sorted as the address says."""

from explorer.ui.address.findings_query import read_findings
from explorer.ui.findings import listing as findings_list
from explorer.ui.shell import frame

with frame.page("findings") as page:
    query, problems = read_findings(page.params)
    frame.show_problems(page.problems + problems)
    findings_list.body(page, query)
