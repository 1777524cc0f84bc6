// Keeps the status page up to date: at each event the page is asked for again and its main part put in place.
(function () {
  "use strict";
  var script = document.currentScript;
  var live = document.getElementById("live");
  var busy = false, again = false;
  function say(text) { if (live) live.textContent = text; }
  function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" })
      .then(function (answer) { return answer.text(); })
      .then(function (text) {
        var page = new DOMParser().parseFromString(text, "text/html");
        var fresh = page.querySelector("main"), old = document.querySelector("main");
        if (fresh && old) { old.replaceWith(fresh); document.title = page.title; }
        say("live");
      })
      .catch(function () { say("the service does not answer; this page is not up to date"); })
      .finally(function () { busy = false; if (again) { again = false; refresh(); } });
  }
  var events = new EventSource(script.dataset.events);
  events.addEventListener("changed", refresh);
  // A member that falls silent is no event.
  setInterval(refresh, 30000);
  events.onerror = function () { say("connection lost; trying again"); };
})();
