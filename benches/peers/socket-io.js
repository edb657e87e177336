// A broadcast server on Socket.IO: what comes from the publisher is emitted to a room.
"use strict";
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const [host, port] = process.argv.slice(2);
const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("publish", (event) => io.to("all").emit("event", event));
  socket.on("subscribe", () => {
    socket.join("all");
    socket.emit("subscribed");
  });
});
http.listen(Number(port), host);
