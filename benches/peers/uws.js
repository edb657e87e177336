// A broadcast server on uWebSockets: what comes from the publisher is published to a topic.
"use strict";
const uws = require("uwebsockets");

const [host, port] = process.argv.slice(2);
const app = uws.App();

app.ws("/publish", {
  message: (_socket, data) => app.publish("all", data, false),
});
app.ws("/*", {
  // A subscriber that lags is to get everything, as with the other peers.
  maxBackpressure: 1024 * 1024 * 1024,
  message: (socket) => {
    socket.subscribe("all");
    socket.send("subscribed", false);
  },
});
app.listen(host, Number(port), (listening) => {
  if (!listening) process.exit(1);
});
