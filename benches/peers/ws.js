// A broadcast server on npm `ws`: what comes from the publisher goes to everyone else.
"use strict";
const { WebSocket, WebSocketServer } = require("ws");

const [host, port] = process.argv.slice(2);
const server = new WebSocketServer({ host, port: Number(port) });
const subscribers = new Set();

server.on("connection", (socket, request) => {
  if (request.url === "/publish") {
    socket.on("message", (data) => {
      for (const subscriber of subscribers) {
        if (subscriber.readyState === WebSocket.OPEN) subscriber.send(data, { binary: false });
      }
    });
    return;
  }
  socket.on("message", () => {
    subscribers.add(socket);
    socket.send("subscribed");
  });
  socket.on("close", () => subscribers.delete(socket));
});
