const visit = (href, stay) => {
  history.pushState(null, "", new URL(href, location.href));
  window.dispatchEvent(new PopStateEvent("popstate"));
  if (!stay) document.querySelector(".lens-top")?.scrollIntoView();
};
// pins are toggled in the address as it is now: the page may still show the one before
const toggled = (place) => {
  const url = new URL(location.href);
  const pins = (url.searchParams.get("pins") ?? "").split(",").filter(Boolean);
  const kept = pins.includes(place) ? pins.filter((pin) => pin !== place) : [...pins, place];
  url.searchParams.set("pins", kept.slice(0, 4).join(","));
  if (!kept.length) url.searchParams.delete("pins");
  return url.href;
};
const bare = (event) => !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
const onClick = (event) => {
  const link = event.target.closest?.("a[data-page]");
  if (!link || event.defaultPrevented || event.button !== 0 || !bare(event)) return;
  event.preventDefault();
  const href = link.dataset.pin ? toggled(link.dataset.pin) : link.getAttribute("href");
  visit(href, link.hasAttribute("data-stay"));
  if (innerWidth < 768 && link.closest('[data-testid="stSidebar"]'))
    document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
};
const put = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // without HTTPS there is no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
};
const onCopy = async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  const name = button.textContent;
  const say = (text) => (button.textContent = text);
  try {
    const answer = await fetch(button.dataset.copy);
    if (!answer.ok) throw new Error(answer.statusText);
    await put(await answer.text());
    say("Copied");
  } catch {
    say("Could not be copied");
  }
  setTimeout(say, 1600, name);
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
  document.addEventListener("click", onCopy);
  document.addEventListener("keydown", onKey);
}
export default function ({ data }) {
  if (data?.href && data.turn !== window.lensRouter.seen) {
    window.lensRouter.seen = data.turn;
    visit(data.href);
  }
}
