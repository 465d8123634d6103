// Reads MCAP files with the MCAP project's JavaScript reader, checksums on, and prints what each topic holds:
// how many messages, and the SHA-256 over their log times and payloads in the file's order.
import { McapIndexedReader, McapStreamReader } from "@mcap/core";
import * as fzstd from "fzstd";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const decompressHandlers = { zstd: (data, size) => fzstd.decompress(data, new Uint8Array(Number(size))) };

const topics = {};
let indexed = 0;
for (const path of process.argv.slice(2)) {
  const bytes = readFileSync(path);
  const reader = new McapStreamReader({ validateCrcs: true, decompressHandlers });
  reader.append(bytes);
  const channels = new Map();
  for (let record; (record = reader.nextRecord()); ) {
    if (record.type === "Channel") {
      channels.set(record.id, record.topic);
    } else if (record.type === "Message") {
      const topic = (topics[channels.get(record.channelId)] ??= { count: 0, hash: createHash("sha256") });
      topic.count += 1;
      topic.hash.update(`${record.logTime} `).update(record.data);
    }
  }
  if (!reader.done()) {
    throw new Error(`${path} does not end as an MCAP file does`);
  }
  // And as viewers do, through the index.
  const readable = {
    size: async () => BigInt(bytes.length),
    read: async (offset, length) => new Uint8Array(bytes.subarray(Number(offset), Number(offset + length))),
  };
  const jumping = await McapIndexedReader.Initialize({ readable, decompressHandlers });
  for await (const _ of jumping.readMessages({ validateCrcs: true })) {
    indexed += 1;
  }
}
for (const topic of Object.values(topics)) {
  topic.sha256 = topic.hash.digest("hex");
  delete topic.hash;
}
console.log(JSON.stringify({ topics, indexed }));
