"use strict";
// The threshold explorer: counts and bounds per threshold are data of the options, everything else follows from them.
(() => {
  const box = document.getElementById("explorer");
  const pick = id => box.querySelector("[data-is=" + id + "]");
  const [choice, range, reset, shown, curve, mark] = ["class", "range", "reset", "threshold", "curve", "mark"].map(pick);
  const left = Number(box.dataset.left), top = Number(box.dataset.top), side = Number(box.dataset.side);
  let data;

  const list = text => text.split(" ").map(Number);
  const percent = value => (100 * value).toFixed(1) + "\u00a0%";

  const write = (name, i, k, n) => {
    pick(name).textContent = n ? percent(k / n) : "not defined";
    const [low, high] = data.bounds[name].map(ends => ends[i] / 1000);
    const shown = Number.isFinite(low) ? percent(low) + " to " + percent(high) : "";
    pick(name + "-interval").textContent = n ? shown : "no image to count";
    pick(name + "-of").textContent = k.toLocaleString("en") + " of " + n.toLocaleString("en");
  };

  const show = () => {
    const i = data.threshold.length - 1 - Number(range.value);  // to the right the threshold rises
    const hit = data.hits[i], alarm = data.alarms[i], miss = data.positives - hit, clear = data.negatives - alarm;
    const limit = data.threshold[i];
    shown.textContent = limit > 1 ? "above 1" : limit.toPrecision(4);
    range.setAttribute("aria-valuetext", "threshold " + shown.textContent);
    for (const [name, count] of Object.entries({hit, alarm, miss, clear})) pick(name).textContent = count.toLocaleString("en");
    write("sensitivity", i, hit, data.positives);
    write("specificity", i, clear, data.negatives);
    write("ppv", i, hit, hit + alarm);
    write("npv", i, clear, clear + miss);
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
      positives: Number(d.positives), negatives: Number(d.negatives), start: Number(d.start), bounds: {}};
    for (const rate of ["sensitivity", "specificity", "ppv", "npv"]) data.bounds[rate] = [list(d[rate + "Low"]), list(d[rate + "High"])];
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
