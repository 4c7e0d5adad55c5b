// The app itself, on the Flex Consumption plan: nothing runs without requests, unless instances are kept ready.

param name string
param location string
param tags { *: string }
param identityName string
param hostAccountName string
param packageContainer string
param archiveAccountName string
param componentName string
param subnetId string
param publicNetworkAccess 'Enabled' | 'Disabled'

@description('Addresses with a slash, or service tags. Empty: everyone may use the app.')
param allowedSources string[]

param zoneRedundant bool
param instanceMemoryMB int
param requestsPerInstance int
param maximumInstances int
param alwaysReadyInstances int
param authority string
param audience string
param publicBaseUrl string
param corsOrigins string
param viewerUrl string
param backupBlobEndpoint string
param backupContainer string
param backupRetentionDays int
param operationRetentionDays int
param subscriptionHosts string
param moreSettings { *: string }

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource hostAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostAccountName
}

resource archiveAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: archiveAccountName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

// An update stops the old instances before new ones start (Recreate, the default): code of two versions never works on
// one archive, whose format the newer one may have changed.
resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'api'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: publicNetworkAccess
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ipSecurityRestrictionsDefaultAction: empty(allowedSources) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: map(range(0, length(allowedSources)), index => {
        name: 'allowed-${index}'
        priority: 100 + index
        action: 'Allow'
        tag: contains(allowedSources[index], '/') ? 'Default' : 'ServiceTag'
        ipAddress: allowedSources[index]
      })
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostAccount.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'http'
                instanceCount: alwaysReadyInstances
              }
            ]
        triggers: {
          http: {
            perInstanceConcurrency: requestsPerInstance
          }
        }
      }
    }
  }
}

// The template's own settings override the operator's: nobody opens the service or moves its storage by accident.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: union(moreSettings, {
    AzureWebJobsStorage__blobServiceUri: hostAccount.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: hostAccount.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: hostAccount.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AzureWebJobsDisableHomepage: 'true'
    FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '5368709120'
    APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identity.properties.clientId}'
    STORAGE_BLOB_ENDPOINT: archiveAccount.properties.primaryEndpoints.blob
    STORAGE_TABLE_ENDPOINT: archiveAccount.properties.primaryEndpoints.table
    STORAGE_QUEUE_ENDPOINT: archiveAccount.properties.primaryEndpoints.queue
    // The connection of the queue functions' triggers. The name of an account beside it would win.
    ArchiveQueues__queueServiceUri: archiveAccount.properties.primaryEndpoints.queue
    ArchiveQueues__credential: 'managedidentity'
    ArchiveQueues__clientId: identity.properties.clientId
    IDENTITY_CLIENT_ID: identity.properties.clientId
    BACKUP_BLOB_ENDPOINT: backupBlobEndpoint
    BACKUP_CONTAINER: backupContainer
    BACKUP_RETENTION_DAYS: string(backupRetentionDays)
    OPERATION_RETENTION_DAYS: string(operationRetentionDays)
    SUBSCRIPTION_HOSTS: subscriptionHosts
    AUTHORITY: authority
    AUDIENCE: audience
    CORS_ORIGINS: corsOrigins
    VIEWER_URL: viewerUrl
    PUBLIC_BASE_URL: publicBaseUrl
    TRUST_FORWARDED: 'true'
  })
}

resource ftpPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

output url string = 'https://${app.properties.defaultHostName}'
