// Shows the schema on /docs.
"use strict";

SwaggerUIBundle({
    dom_id: "#docs",
    url: document.querySelector("#docs").dataset.schema,
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    // Its default sends the schema to a server elsewhere.
    validatorUrl: "none",
    // It asks as any client does: with a key, never with the login of the admin.
    requestInterceptor: (request) => Object.assign(request, {credentials: "omit"}),
});
