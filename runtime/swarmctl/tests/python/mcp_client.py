"""Speaks to `swarmctl mcp serve` with the client of the official Python package and prints what it heard, as JSON.

Arguments: the program, and its arguments. Standard input: a JSON list of [tool, input].
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    calls = json.load(sys.stdin)
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            listed = (await session.list_tools()).model_dump(by_alias=True, mode="json")
            heard = {"tools": listed["tools"], "answers": []}
            for tool, given in calls:
                answer = await session.call_tool(tool, given)
                heard["answers"].append(answer.model_dump(by_alias=True, mode="json"))
    print(json.dumps(heard))


asyncio.run(main())
