// The order of rows by one of their cells: numbers by size, else as text; empty cells come last.
function sortedOrder(values, isDown) {
  var order = values.map(function (_, place) { return place; });
  function isNumber(value) { return value !== "" && !isNaN(Number(value)); }
  function compare(a, b) {
    if (a === b) return 0;
    if (a === "" || b === "") return a === "" ? Infinity : -Infinity;
    if (isNumber(a) && isNumber(b)) return Number(a) - Number(b);
    return a < b ? -1 : 1;
  }
  return order.sort(function (first, second) {
    var found = compare(values[first], values[second]);
    if (!isFinite(found)) return found;
    return (isDown ? -found : found) || first - second;
  });
}
