const visit = (href, stay) => {
  history.pushState(null, "", new URL(href, location.href));
  window.dispatchEvent(new PopStateEvent("popstate"));
  if (!stay) document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
};
const bare = (event) => !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
const onClick = (event) => {
  const link = event.target.closest?.("a[data-page]");
  if (!link || event.defaultPrevented || event.button !== 0 || !bare(event)) return;
  event.preventDefault();
  visit(link.getAttribute("href"), link.hasAttribute("data-stay"));
  if (innerWidth < 768 && link.closest('[data-testid="stSidebar"]'))
    document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
};
const onKey = (event) => {
  const side = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const busy = event.target.closest?.("input, textarea, select, [role], [contenteditable]");
  if (side && bare(event) && !busy)
    document.querySelector(`a[rel="${side}"]`)?.click();
};
if (!window.lensRouter) {
  window.lensRouter = { seen: null };
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
}
export default function ({ data }) {
  if (data?.href && data.turn !== window.lensRouter.seen) {
    window.lensRouter.seen = data.turn;
    visit(data.href);
  }
}
