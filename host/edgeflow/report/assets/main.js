// Puts the page together, and together again when a filter changes.

function redrawAll() {
  const rows = filtered.results();
  const cells = cellsOf(rows);
  const missing = filtered.missing();
  drawMatrix(cells, missing);
  drawPareto(cells);
  drawSpread(cells);
  drawTime(rows);
  drawRuns(rows);
  drawMissing(missing);
  drawDevices(rows);
  const left = report.missing.length ? `, ${missing.length} of ${report.missing.length} not measured` : "";
  document.getElementById("shown").value = `${rows.length} of ${results.length} results${left}`;
}

function openFromAddress() {
  const id = location.hash.startsWith("#result=") ? decodeURIComponent(location.hash.slice("#result=".length)) : null;
  const found = id && results.find((result) => result.id === id);
  if (found) openResult(found);
}

drawHead();
drawFilters(redrawAll);
redrawAll();
drawContents();
drawFoot();
openFromAddress();
addEventListener("hashchange", openFromAddress);
document.documentElement.dataset.ready = "true";
