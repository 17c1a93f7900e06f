// Puts what is new of a page into the one that is open, and leaves alone what is the same: the focus, the place on the
// page, what is folded out. Elements are known by their ids.
//
// `data-still` marks what scripts look after themselves; attributes that begin with `data-live-` are theirs too.

const isKept = (name) => name === "open" || name === "style" || name.startsWith("data-live-");

export const read = (html) => new DOMParser().parseFromString(html, "text/html").body;

// `ward.holds(element)` says what must stay as it is, `ward.stays(element)` what is not taken away, and
// `ward.renew(field, fresh)` gives a field its new value.
export function morph(root, fresh, ward) {
  const focused = document.activeElement;
  const at = "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  const left = [];
  children(root, fresh, { root, ward, left });
  // At last, for what has no place here may have found one elsewhere: a story goes from list to list as it is.
  for (const [parent, node] of left) {
    if (node.parentNode === parent && !(node instanceof Element && ward.stays(node))) node.remove();
  }
  if (focused !== document.activeElement && focused.isConnected && root.contains(focused)) {
    focused.focus({ preventScroll: true });
    if (at && at[0] !== null) focused.setSelectionRange(...at);
  }
}

function children(old, fresh, work) {
  let cursor = old.firstChild;
  for (const wanted of Array.from(fresh.childNodes)) {
    const match = find(wanted, cursor, work.root);
    if (!match) {
      const made = document.importNode(wanted, false);
      old.insertBefore(made, cursor);
      if (made instanceof Element) children(made, wanted, work);
      continue;
    }
    if (match === cursor) cursor = cursor.nextSibling;
    else put(old, match, cursor);
    node(match, wanted, work);
  }
  for (; cursor; cursor = cursor.nextSibling) work.left.push([old, cursor]);
}

function put(parent, child, before) {
  // Where a browser can move an element without taking it out, nothing in it loses the focus or is loaded again.
  if (parent.moveBefore && child.isConnected) parent.moveBefore(child, before);
  else parent.insertBefore(child, before);
}

function find(wanted, cursor, root) {
  if (!(wanted instanceof Element)) return cursor && cursor.nodeType === wanted.nodeType ? cursor : null;
  if (wanted.id) {
    const known = document.getElementById(wanted.id);
    return known && root.contains(known) && known.tagName === wanted.tagName ? known : null;
  }
  for (let node = cursor; node; node = node.nextSibling) {
    if (node instanceof Element) return !node.id && node.tagName === wanted.tagName ? node : null;
  }
  return null;
}

function node(old, wanted, work) {
  if (!(old instanceof Element)) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  if (old.hasAttribute("data-still") || work.ward.holds(old)) return;
  attributes(old, wanted);
  if (old.matches("textarea")) {
    old.defaultValue = wanted.defaultValue;
  } else {
    children(old, wanted, work);
  }
  if (old.matches("input, textarea, select")) work.ward.renew(old, wanted);
}

function attributes(old, wanted) {
  for (const { name, value } of Array.from(wanted.attributes)) {
    if (!isKept(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of Array.from(old.attributes)) {
    if (!isKept(name) && !wanted.hasAttribute(name)) old.removeAttribute(name);
  }
}
