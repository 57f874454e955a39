"""An MCP server made with the official Python package, version 1 or 2, on stdio or streamable HTTP."""

import sys

try:
    from mcp.server.mcpserver import Context, MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP as Server

server = Server("python-test")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("on purpose")


@server.tool()
async def grow(ctx: Context) -> str:
    """Adds a tool and says so."""

    def grown() -> str:
        """Was not there before."""
        return "grown"

    server.add_tool(grown)
    await ctx.session.send_tool_list_changed()
    return "done"


if len(sys.argv) > 1:
    port = int(sys.argv[1])
    try:
        server.run("streamable-http", host="127.0.0.1", port=port)
    except TypeError:
        server.settings.port = port
        server.run("streamable-http")
else:
    server.run("stdio")
