"use strict";
// The threshold explorer: counts per threshold are data of the options, everything else follows from them.
(() => {
  const box = document.getElementById("explorer");
  const pick = id => box.querySelector("[data-is=" + id + "]");
  const [choice, range, reset, shown, curve, mark] = ["class", "range", "reset", "threshold", "curve", "mark"].map(pick);
  const z = Number(box.dataset.z), left = Number(box.dataset.left), top = Number(box.dataset.top), side = Number(box.dataset.side);
  let data;

  const list = text => text.split(" ").map(Number);
  const percent = value => (100 * value).toFixed(1) + "\u00a0%";

  // Wilson's score interval (1927) of k of n.
  const wilson = (k, n) => {
    const p = k / n, middle = p + z * z / (2 * n), scale = 1 + z * z / n;
    const half = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return [k === 0 ? 0 : (middle - half) / scale, k === n ? 1 : (middle + half) / scale];
  };
  const write = (name, k, n) => {
    pick(name).textContent = n ? percent(k / n) : "not defined";
    const [low, high] = n ? wilson(k, n) : [];
    pick(name + "-interval").textContent = !n ? "no image to count" : z ? percent(low) + " to " + percent(high) : "";
    pick(name + "-of").textContent = k.toLocaleString("en") + " of " + n.toLocaleString("en");
  };

  const show = () => {
    const i = data.threshold.length - 1 - Number(range.value);  // to the right the threshold rises
    const hit = data.hits[i], alarm = data.alarms[i], miss = data.positives - hit, clear = data.negatives - alarm;
    const limit = data.threshold[i];
    shown.textContent = limit > 1 ? "above 1" : limit.toPrecision(4);
    range.setAttribute("aria-valuetext", "threshold " + shown.textContent);
    for (const [name, count] of Object.entries({hit, alarm, miss, clear})) pick(name).textContent = count.toLocaleString("en");
    write("sensitivity", hit, data.positives);
    write("specificity", clear, data.negatives);
    write("ppv", hit, hit + alarm);
    write("npv", clear, clear + miss);
    mark.setAttribute("cx", left + side * (data.negatives ? alarm / data.negatives : 0));
    mark.setAttribute("cy", top + side * (1 - (data.positives ? hit / data.positives : 0)));
  };
  const nearest = limit => {
    let best = 0;
    data.threshold.forEach((t, i) => { if (Math.abs(t - limit) < Math.abs(data.threshold[best] - limit)) best = i; });
    return data.threshold.length - 1 - best;
  };
  const start = () => { range.value = nearest(data.start); show(); };
  const load = () => {
    const d = choice.selectedOptions[0].dataset;
    data = {threshold: list(d.threshold), hits: list(d.hits), alarms: list(d.alarms),
      positives: Number(d.positives), negatives: Number(d.negatives), start: Number(d.start)};
    range.max = data.threshold.length - 1;
    reset.textContent = d.stored ? "back to the stored threshold" : "back to 0.5";
    const points = data.hits.map((hit, i) => (left + side * (data.negatives ? data.alarms[i] / data.negatives : 0)).toFixed(1)
      + " " + (top + side * (1 - (data.positives ? hit / data.positives : 0))).toFixed(1));
    curve.setAttribute("d", "M" + points.join("L"));
    start();
  };

  choice.addEventListener("change", load);
  range.addEventListener("input", show);
  reset.addEventListener("click", start);
  document.getElementById("explorer-static").hidden = true;
  box.hidden = false;
  load();
})();
