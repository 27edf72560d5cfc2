// The blind test in the page: choices stay in this browser, and can be saved for `ftstudy blind RUN --take FILE`.
(() => {
  const section = document.getElementById("blind-test");
  if (!section) return;
  const bytes = Uint8Array.from(atob(section.dataset.test), (letter) => letter.charCodeAt(0));
  const test = JSON.parse(new TextDecoder().decode(bytes));
  const place = `ftstudy blind ${test.run} ${test.key}`;
  const find = (name) => section.querySelector(`.blind-${name}`);
  let presses = [], showing = false, kept = true;  // presses: [pair, key], the latest last

  const load = () => {
    try {
      const found = JSON.parse(localStorage.getItem(place)) || [];
      presses = found.filter(([pair, key]) => test.pairs[pair] && "012".includes(key) && key.length === 1);
    } catch { kept = false; presses = []; }
  };
  const store = () => {
    try { localStorage.setItem(place, JSON.stringify(presses)); kept = true; } catch { kept = false; }
  };
  // What the run's folder had when this page was written, and what was pressed here since.
  const keys = () => {
    const all = [...test.chosen];
    for (const [pair, key] of presses) all[pair] = key;
    return all;
  };

  // As preference.result and preference.in_words: the share of decided pairs with Wilson's interval.
  const result = () => {
    let wins = 0, losses = 0, ties = 0;
    keys().forEach((key, at) => {
      if (key === null) return;
      if (key === "0") ties += 1;
      else if (Number(key) - 1 === test.pairs[at].tuned) wins += 1;
      else losses += 1;
    });
    const decided = wins + losses, z = 1.959964;
    if (!decided && !ties) return "Nothing is decided yet.";
    const said = `The tuned model won ${wins} of ${decided} decided pair${decided === 1 ? "" : "s"}, ${ties} for neither`;
    if (!decided) return `${said}.`;
    const middle = (wins + z * z / 2) / (decided + z * z);
    const half = z / (decided + z * z) * Math.sqrt(wins * losses / decided + z * z / 4);
    const low = Math.max(middle - half, 0), high = Math.min(middle + half, 1);
    const verdict = low <= 0.5 && 0.5 <= high ? "not distinguishable" : wins > losses ? "better" : "worse";
    const percent = (share) => `${Math.round(100 * share)}%`;
    return `${said}: ${percent(wins / decided)}, 95% interval ${percent(low)} to ${percent(high)}, ${verdict}.`;
  };

  const isolated = (element, text, before = "") => {  // a text's direction stays its own
    const inner = document.createElement("bdi");
    inner.textContent = text;
    element.replaceChildren(before, inner);
  };
  const show = () => {
    const all = keys(), at = all.indexOf(null), done = all.filter((key) => key !== null).length;
    const pair = test.pairs[at];
    find("place").textContent = pair ? `Pair ${done + 1} of ${all.length}` : "Every pair is decided.";
    isolated(find("context"), pair ? pair.context : "");
    section.querySelectorAll(".blind-reply").forEach((reply, number) => {
      reply.hidden = !pair;
      if (pair) isolated(reply, pair.texts[number] || "(empty)", `${number + 1}  `);
    });
    section.querySelectorAll("[data-key]").forEach((button) => {
      button.disabled = button.dataset.key === "u" ? !presses.length : !pair;
    });
    find("result").hidden = showing || !pair;
    find("status").textContent = `${done} of ${all.length} decided.`
      + (showing || !pair ? ` ${result()}` : "") + (kept ? "" : " This browser does not keep your choices: save them.");
  };
  const press = (key) => {
    const at = keys().indexOf(null);
    if (key === "u") presses.pop();
    else if (at >= 0) presses.push([at, key]);
    store();
    show();
    if (document.activeElement && document.activeElement.disabled) find("box").focus();
  };
  const choices = () => JSON.stringify({kind: test.kind, run: test.run, pairs: test.key, choices: keys()}) + "\n";

  section.querySelectorAll("[data-key]").forEach((button) => {
    button.addEventListener("click", () => press(button.dataset.key));
  });
  find("box").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !["0", "1", "2", "u"].includes(event.key)) return;
    event.preventDefault();
    press(event.key);
  });
  find("result").addEventListener("click", () => { showing = true; show(); });
  find("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([choices()], {type: "application/json"}));
    link.download = `blind-${test.run}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  find("copy").addEventListener("click", async () => {
    const text = find("text");
    text.value = choices();
    try {
      await navigator.clipboard.writeText(text.value);
      find("status").textContent = "Your choices are copied.";
    } catch {  // where a page may not write to the clipboard
      text.hidden = false;
      text.select();
      find("status").textContent = "Copy the text below.";
    }
  });

  load();
  find("live").hidden = false;
  show();
})();
