// A puppet on npm `ws`: one JSON command a line on stdin, one JSON line on stdout for all that happens.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
let socket;

function connect({ url, token, via }) {
  const current = via === "protocol"
    ? new WebSocket(url, ["tidings.v1", `tidings.bearer.${token}`])
    : new WebSocket(url, { headers: { Authorization: `Bearer ${token}` } });
  socket = current;
  current.on("open", () => say({ open: { protocol: current.protocol } }));
  current.on("message", (data, isBinary) => say(isBinary ? { binary: data.length } : { message: JSON.parse(data) }));
  current.on("close", (code) => say({ closed: { code } }));
  current.on("error", (error) => process.stderr.write(`${error.message}\n`));
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  if (command.do === "connect") connect(command);
  if (command.do === "send") socket.send(JSON.stringify(command.message));
  if (command.do === "break") socket.terminate();
  if (command.do === "close") socket.close(1000);
}).on("close", () => process.exit(0));
